import { randomUUID } from "node:crypto";
import { SandboxesError } from "../../client/errors";
import { cpuMillis } from "../../client/wire/quantities";
import type { SandboxRecord } from "../store/sandboxStore";
import type { SnapshotRecord } from "../store/snapshotStore";
import type { Vm, VmCapabilities } from "../vm/driver";
import { mergedPolicy } from "./lifecyclePlan";
import { defaultLifecycle, type NewSandbox } from "./newSandbox";
import { refreshGuest, type StartParts } from "./startSandbox";
import { timestamp } from "./timestamp";

/**
 * The record of a sandbox about to be made from a snapshot. As on Azure it has the snapshot's size, program and
 * environment, and a lifecycle of its own; asking for others is refused rather than ignored.
 */
export function sandboxOfSnapshot(
  snapshot: SnapshotRecord,
  body: NewSandbox,
  capabilities: VmCapabilities,
): SandboxRecord {
  refuseOthers(snapshot, body);
  const { groupKey, resources, environment, entrypoint, cmd, program, imageDigest, imageConfig } = snapshot;
  return {
    id: randomUUID(),
    ...{ groupKey, resources, environment, entrypoint, cmd, program, imageDigest, imageConfig },
    labels: body.labels ?? {},
    sourcesRef: { snapshot: { id: snapshot.id } },
    lifecycle: mergedPolicy(defaultLifecycle, body.lifecycle ?? {}),
    isolation: capabilities.isolation,
    createdAt: timestamp(),
    state: "Creating",
  };
}

/** From the record of a copy to a machine that answers, an individual from here on. */
export async function restoreSandbox(
  { driver, admission, snapshots }: StartParts,
  record: SandboxRecord,
  signal: AbortSignal,
): Promise<{ record: SandboxRecord; vm: Vm }> {
  const snapshot = snapshots.source(record.groupKey, record.sourcesRef);
  if (!snapshot) throw new SandboxesError("Internal", "the record of a copy names no snapshot");
  const options = { vmId: record.id, cpuMillis: cpuMillis(record.resources.cpu), signal };
  const restore = () => driver.restore(snapshots.directoryOf(snapshot.id), options);
  const vm = await admission.start(record.groupKey, restore, signal);
  await refreshGuest(record.id, vm);
  return { vm, record };
}

function refuseOthers(snapshot: SnapshotRecord, body: NewSandbox): void {
  for (const [name, value] of Object.entries(body.resources ?? {})) {
    const own = (snapshot.resources as Record<string, string>)[name];
    if (value === null || value === undefined || value === own) continue;
    throw inherited(`resources.${name}`, `the snapshot's is "${own}"`);
  }
  if (Object.keys(body.environment ?? {}).length > 0) throw inherited("environment", "give it to each program");
  if (body.entrypoint?.length) throw inherited("entrypoint", "its program runs already");
  if (body.cmd?.length) throw inherited("cmd", "its program runs already");
}

function inherited(field: string, instead: string): SandboxesError {
  return new SandboxesError("Invalid", `A sandbox made from a snapshot takes "${field}" from it: ${instead}`, {
    field,
  });
}
