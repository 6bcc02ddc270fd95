import { compare } from "./auditCopies";
import type { Audited } from "./auditRecords";
import { listScript, sharedVolume, volumeOf } from "./guestPrograms";
import type { Ledger } from "./ledger";

/** Volumes are those that were acknowledged, and hold what was. */
export async function auditVolumes({ group, rest, ledger }: Audited): Promise<string[]> {
  const names = new Set(await rest.volumes());
  const findings = compare("volume", [...ledger.volumes.values()], names);
  for (const name of names) if (!ledger.volumes.has(name)) findings.push(`volume ${name} was never asked for`);
  const records = await group.sandboxes.list();
  for (const volume of ledger.volumes.values()) {
    const users = records.filter(({ volumes }) => volumes?.some(({ volumeName }) => volumeName === volume.id));
    if (!volume.isShared && users.length > 1) findings.push(`${volume.id} is a disk of ${users.length}`);
    if (users.length === 0) volume.user = undefined;
  }
  // Each through a sandbox that has it already, or through one for all the others.
  const seen = new Map<string, { id: string; path: string }>();
  for (const { id, state } of records) {
    const sandbox = state === "Running" ? ledger.sandboxes.get(id) : undefined;
    const has = sandbox && !sandbox.traits.sleeps && !sandbox.endsAtMs ? volumeOf(sandbox) : undefined;
    if (has) seen.set(has.volume, { id, path: has.path });
  }
  const isHeld = (name: string) =>
    records.some(({ volumes }) => volumes?.some(({ volumeName }) => volumeName === name));
  const free = [...names].filter((name) => !seen.has(name) && (name === sharedVolume || !isHeld(name)));
  const volumes = free.map((volumeName, index) => ({ volumeName, mountpoint: `/mnt/${index}` }));
  const resources = { cpu: "1000m", memory: "128Mi", disk: "64Mi" };
  const image = [...ledger.images.values()].find(({ isKept }) => isKept)!;
  const sourcesRef = { diskImage: { id: image.id } };
  const reader = volumes.length > 0 ? await group.sandboxes.create({ sourcesRef, resources, volumes }) : undefined;
  for (const { volumeName, mountpoint } of volumes) seen.set(volumeName, { id: reader!.id, path: mountpoint });
  for (const [volume, { id, path }] of seen) {
    const { stdout, stderr } = await group.sandboxes.execShell(id, { command: listScript(path), timeoutMs: 60_000 });
    findings.push(...compareFiles(ledger, volume, stdout, stderr));
  }
  if (reader) await group.sandboxes.delete(reader.id);
  return findings;
}

function compareFiles(ledger: Ledger, volume: string, printed: string, error: string): string[] {
  const lines = printed.split("\n").filter(Boolean);
  const there = new Map(lines.map((line) => line.split(" ") as [string, string]));
  const findings = error ? [`${volume} cannot be listed: ${error}`] : [];
  for (const [key, possible] of ledger.files) {
    if (!key.startsWith(`${volume}/`)) continue;
    const name = key.slice(volume.length + 1);
    const content = there.get(name);
    if (!possible.has(content)) findings.push(`${key} is ${content}, not ${[...possible]}`);
    there.delete(name);
  }
  for (const name of there.keys()) findings.push(`${volume}/${name} was never written`);
  return findings;
}

/** Secrets have the values that were acknowledged. */
export async function auditSecrets({ group, rest, ledger }: Audited): Promise<string[]> {
  const findings: string[] = [];
  const there = new Set((await group.secrets.list()).map(({ id }) => id));
  for (const [id, possible] of ledger.secrets) {
    const value = there.has(id) ? (await rest.peekSecret(id)).value : undefined;
    if (!possible.has(value)) findings.push(`secret ${id} is ${value}, not ${[...possible]}`);
    ledger.secrets.set(id, new Set([value]));
    there.delete(id);
  }
  for (const id of there) findings.push(`secret ${id} was never asked for`);
  return findings;
}
