import { buffer } from "node:stream/consumers";
import { SandboxesError } from "../../../provider/client/errors";
import type { SandboxView } from "../../../provider/client/wire/sandboxes";
import { type Caller, isRefusal, type Outcome } from "./caller";
import { contentOf, counter, setUpScript } from "./guestPrograms";
import type { KnownSandbox, Traits } from "./ledger";

export const keyLabel = "crash-key";
/** Memory is what a machine has little of under test. */
const memory = "128Mi";

/** Makes one, and has programs run in it. */
export async function create(caller: Caller): Promise<void> {
  const { ledger, random, baseImage, group } = caller.parts;
  const key = caller.nextName();
  const labels = { [keyLabel]: key };
  const traits = await drawTraits(caller, key);
  // Now and then a size of its own, which takes a template of its own.
  const disk = random.next() < 0.12 ? `${random.between(65, 4000)}Mi` : "64Mi";
  ledger.sentKeys.set(key, traits);
  const resources = { cpu: traits.isLimited ? "700m" : "1000m", memory, disk };
  const sourcesRef = { diskImage: { id: baseImage } };
  const made = await caller.call("create", (signal) =>
    group.sandboxes.create({ sourcesRef, labels, resources, ...contentOf(traits) }, { signal }),
  );
  const sandbox = noteCreation(caller, key, made);
  if (!sandbox) return;
  await caller.alone(sandbox, async () => {
    const token = `token of ${key}`;
    const set = await caller.shell(sandbox, setUpScript(token, traits));
    if (set.value?.exitCode !== 0) return;
    const { id, command } = counter;
    const background = group.sandboxes.background(sandbox.id);
    const started = await caller.call("background", (signal) => background.start(id, { command }, { signal }));
    if (started.value) sandbox.token = token;
  });
}

/** Undefined when nobody knows its id. */
export function noteCreation(caller: Caller, key: string, made: Outcome<SandboxView>): KnownSandbox | undefined {
  const { ledger } = caller.parts;
  if (made.value) return ledger.add(made.value.id, key, "Running", { [keyLabel]: key }, made.value.createdAt ?? "");
  return undefined;
}

async function drawTraits(caller: Caller, key: string): Promise<Traits> {
  const { random } = caller.parts;
  const has = (share: number) => random.next() < share || undefined;
  const traits: Traits = { isLimited: has(0.3), sleeps: has(0.15), hasPort: has(0.3), hasEgress: has(0.3) };
  if (has(0.12)) traits.livesForMs = random.between(10, 30) * 1000;
  const storage = random.weighted({ none: 5, shared: 3, disk: 2 });
  if (storage === "shared") traits.isSharing = true;
  if (storage === "disk") traits.disk = await diskFor(caller, key);
  return traits;
}

/** A volume for one sandbox: one that nobody has any more, or a new one. */
async function diskFor(caller: Caller, key: string): Promise<string | undefined> {
  const { ledger, random, rest } = caller.parts;
  const free = ledger.freeDisks();
  const known = random.next() < 0.6 ? random.pick(free) : undefined;
  if (known) {
    known.user = key;
    return known.id;
  }
  const name = `disk-${key}`;
  const volume = { id: name, fate: "mayBeGone" as const, user: key };
  ledger.volumes.set(name, volume);
  const made = await caller.call("volume", (signal) =>
    rest.putVolume(name, { type: "DataDisk", size: "16Mi" }, signal),
  );
  if (made.error) return undefined;
  ledger.volumes.set(name, { ...volume, fate: "lives" });
  return name;
}

export async function exec(caller: Caller, sandbox: KnownSandbox): Promise<void> {
  const { random } = caller.parts;
  const [a, b] = [random.between(1, 999), random.between(1, 999)];
  const result = await caller.shell(sandbox, `sleep ${random.pick([0, 0, 0.2, 0.6])}; echo $((${a} * ${b}))`);
  if (result.value && result.value.stdout !== `${a * b}\n`) {
    caller.violation(`exec in ${sandbox.id} printed ${JSON.stringify(result.value)}`);
  }
  // Nobody has a use for what has failed, and it stands in the way of others.
  if (result.error?.code === "NotRunning" && result.error.message.includes("Failed")) await remove(caller, sandbox);
}

export async function file(caller: Caller, sandbox: KnownSandbox): Promise<void> {
  const content = Buffer.alloc(caller.parts.random.between(1, 2 ** 20), caller.nextName());
  const path = `/tmp/${caller.parts.name}`;
  const { files } = caller.parts.group;
  const written = await caller.call("write", (signal) => files.write(sandbox.id, path, content, { signal }));
  if (written.error) return;
  const read = await caller.call("read file", async (signal) => {
    const stream = await files.read(sandbox.id, path, { signal });
    return buffer(stream).catch((cause) => {
      if (signal.aborted) throw cause;
      throw new SandboxesError("HostUnavailable", "the stream broke off", { cause });
    });
  });
  if (read.value && !read.value.equals(content)) caller.violation(`a file of ${sandbox.id} has other content`);
}

export async function change(caller: Caller, what: "stop" | "resume", sandbox: KnownSandbox): Promise<void> {
  const target = what === "stop" ? "Stopped" : "Running";
  await caller.alone(sandbox, async () => {
    const before = sandbox.states;
    // While it is under way, it may be either.
    sandbox.states = new Set([...before, target]);
    const result = await caller.call(what, (signal) => caller.parts.group.sandboxes[what](sandbox.id, { signal }));
    if (result.value && !sandbox.traits.sleeps) sandbox.states = new Set([target]);
    else if (result.error && isRefusal(result.error)) sandbox.states = before;
  });
}

export async function patch(caller: Caller, sandbox: KnownSandbox): Promise<void> {
  await caller.alone(sandbox, async () => {
    const labels = { [keyLabel]: sandbox.key, patch: caller.nextName() };
    const result = await caller.call("patch", (signal) =>
      caller.parts.group.sandboxes.update(sandbox.id, { labels }, { signal }),
    );
    sandbox.labels = result.value ? [labels] : [...sandbox.labels, labels];
  });
}

export async function remove(caller: Caller, sandbox: KnownSandbox): Promise<void> {
  if (sandbox.busy) return;
  const { ledger, group } = caller.parts;
  await caller.alone(sandbox, async () => {
    sandbox.fate = "mayBeGone";
    const result = await caller.call("delete", (signal) => group.sandboxes.delete(sandbox.id, { signal }));
    if (result.error) return;
    sandbox.fate = "gone";
    const disk = ledger.volumes.get(sandbox.traits.disk ?? "");
    if (disk) disk.user = undefined;
  });
}

export async function read(caller: Caller, sandbox: KnownSandbox): Promise<void> {
  const { ledger, group } = caller.parts;
  const { error } = await caller.call("read", (signal) => group.sandboxes.get(sandbox.id, { signal }));
  // Another worker may have deleted it meanwhile.
  if (error?.code === "SandboxNotFound" && ledger.lives(sandbox)) caller.violation(`${sandbox.id} is lost`);
}
