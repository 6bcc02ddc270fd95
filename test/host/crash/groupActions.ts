import type { Caller } from "./caller";
import { volumeOf, writeScript } from "./guestPrograms";
import { type KnownSandbox, noteChange } from "./ledger";

const maxSecrets = 4;
/** What no file of the host may hold. */
export const secretMark = "plain-text-of-a-secret";

/** Writes or removes a file of a volume, through a sandbox that has one. */
export async function volumeFile(caller: Caller, sandbox: KnownSandbox): Promise<void> {
  const { ledger, random } = caller.parts;
  const target = volumeOf(sandbox);
  if (!target) return;
  const { volume, path } = target;
  // Files of this caller alone of which it is known what they hold: what was lost may happen later than what follows.
  const mine = [...ledger.files].filter(
    ([key, { size }]) => key.startsWith(`${volume}/f-${caller.parts.name}-`) && size === 1,
  );
  const [known, content] = random.pick(mine) ?? [];
  const name = known && random.next() < 0.6 ? known.slice(volume.length + 1) : `f-${caller.nextName()}`;
  const key = `${volume}/${name}`;
  const isRemoval = key === known && [...content!][0] !== undefined && random.next() < 0.3;
  const next = isRemoval ? undefined : `content-${caller.nextName()}`;
  const script = next === undefined ? `rm ${path}/${name}` : writeScript(path, name, next, random.next() < 0.5);
  noteChange(ledger.files, key, next, false);
  const done = await caller.shell(sandbox, script, "volume file");
  if (!done.value) return;
  if (done.value.exitCode === 0) noteChange(ledger.files, key, next, true);
  else caller.violation(`${script} in ${sandbox.id}: ${JSON.stringify(done.value)}`);
}

/** Deletes a volume that nobody has. */
export async function removeVolume(caller: Caller): Promise<void> {
  const { ledger, random, rest } = caller.parts;
  const free = ledger.freeDisks();
  const volume = free.length > 2 ? random.pick(free) : undefined;
  if (!volume) return;
  volume.fate = "mayBeGone";
  const gone = await caller.call("delete volume", (signal) => rest.deleteVolume(volume.id, signal));
  if (!gone.error) volume.fate = "gone";
}

export async function secret(caller: Caller): Promise<void> {
  const { ledger, random, group } = caller.parts;
  const mine = [...ledger.secrets.keys()].filter((id) => id.startsWith(`secret-${caller.parts.name}-`));
  const id = mine.length >= maxSecrets ? random.pick(mine)! : `secret-${caller.nextName()}`;
  if (mine.includes(id) && random.next() < 0.4) {
    noteChange(ledger.secrets, id, undefined, false);
    const gone = await caller.call("delete secret", (signal) => group.secrets.delete(id, { signal }));
    if (!gone.error) noteChange(ledger.secrets, id, undefined, true);
    return;
  }
  const value = `${secretMark} ${caller.nextName()}`;
  noteChange(ledger.secrets, id, value, false);
  const put = await caller.call("secret", (signal) => group.secrets.put(id, { value }, { signal }));
  if (!put.error) noteChange(ledger.secrets, id, value, true);
}
