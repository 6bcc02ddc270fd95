import type { Caller } from "./caller";
import type { KnownSandbox, Traits } from "./ledger";
import { keyLabel, noteCreation } from "./sandboxActions";

const maxSnapshots = 3;
const maxImages = 3;

/** What a copy has, too: no ports and no policy. */
export function inherited({ isLimited, isSharing }: Traits): Traits {
  return { isLimited, isSharing };
}

/** A snapshot, or the end of one. */
export async function snapshot(caller: Caller, sandbox: KnownSandbox): Promise<void> {
  const { ledger, random, group } = caller.parts;
  const old = [...ledger.snapshots.values()].filter(({ fate }) => fate === "lives");
  if (old.length >= maxSnapshots) {
    const doomed = random.pick(old)!;
    doomed.fate = "mayBeGone";
    const gone = await caller.call("delete snapshot", (signal) => group.snapshots.delete(doomed.id, { signal }));
    if (!gone.error) doomed.fate = "gone";
    return;
  }
  // Refused of one that has a volume of its own.
  if (sandbox.traits.disk) return;
  ledger.copied.add(sandbox.id);
  const { token } = sandbox;
  const made = await caller.call("snapshot", (signal) => group.snapshots.create(sandbox.id, {}, { signal }));
  const { id } = made.value ?? {};
  if (id) ledger.snapshots.set(id, { id, fate: "lives", token, traits: inherited(sandbox.traits) });
}

/** A sandbox out of a snapshot; undefined when there is none, or it could not be made. */
export async function restore(caller: Caller): Promise<KnownSandbox | undefined> {
  const { ledger, random, group } = caller.parts;
  const source = random.pick([...ledger.snapshots.values()].filter(({ fate }) => fate === "lives"));
  if (!source) return undefined;
  const key = caller.nextName();
  ledger.sentKeys.set(key, source.traits);
  const sourcesRef = { snapshot: { id: source.id } };
  const made = await caller.call("restore", async (signal) => {
    return group.sandboxes.create({ sourcesRef, labels: { [keyLabel]: key } }, { signal }).catch((error) => {
      // Deleted by another worker meanwhile.
      if (error.code === "NotFound" && source.fate !== "lives") return undefined;
      throw error;
    });
  });
  if (!made.value) return undefined;
  const sandbox = noteCreation(caller, key, { value: made.value });
  if (sandbox) sandbox.token = source.token;
  return sandbox;
}

export async function commit(caller: Caller, sandbox: KnownSandbox): Promise<void> {
  const { ledger, group } = caller.parts;
  ledger.copied.add(sandbox.id);
  const { token } = sandbox;
  const made = await caller.call("commit", (signal) => group.sandboxes.commit(sandbox.id, {}, { signal }));
  if (made.value) ledger.images.set(made.value.id, { id: made.value.id, fate: "lives", token });
}

/** An import, or the end of an image. */
export async function image(caller: Caller): Promise<void> {
  const { ledger, random, group, makeArchive } = caller.parts;
  const old = [...ledger.images.values()].filter(({ fate, isKept }) => fate === "lives" && !isKept);
  if (old.length >= maxImages) {
    const doomed = random.pick(old)!;
    doomed.fate = "mayBeGone";
    const gone = await caller.call("delete image", (signal) => group.diskImages.delete(doomed.id, { signal }));
    if (!gone.error) doomed.fate = "gone";
    return;
  }
  const isBroken = random.next() < 0.2;
  const base = `rootfs:${await makeArchive(caller.nextName(), isBroken)}`;
  ledger.sentSources.add(base);
  const made = await caller.call("import", (signal) => group.diskImages.create({ image: { base } }, { signal }));
  if (made.value) ledger.images.set(made.value.id, { id: made.value.id, fate: "lives" });
}
