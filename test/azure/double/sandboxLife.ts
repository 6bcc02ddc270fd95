import { randomUUID } from "node:crypto";
import type { Pace, StoredSandbox } from "./model";
import { viewOf } from "./sandboxView";
import { WireError, type WireReply, type WireRequest } from "./wire";

/** Stops it as it stands; what a stop answers is a snapshot that no list shows. */
export function stop(sandbox: StoredSandbox, pace: Pace, reason = "UserStopped"): WireReply {
  if (sandbox.state !== "Running") throw notRunning(sandbox);
  const settled = pace.stopPolls === 0;
  sandbox.state = settled ? pace.stopsTo : "Stopping";
  sandbox.settlesTo = settled ? undefined : pace.stopsTo;
  sandbox.pollsLeft = pace.stopPolls;
  sandbox.snapshotId = randomUUID();
  const stoppedAt = new Date().toISOString();
  sandbox.stateDetails = { stoppedReason: reason, stoppedAt };
  // Where memory is not kept, programs end.
  if (sandbox.lifecycle.autoSuspendPolicy?.mode === "Disk") sandbox.vm.agent.close();
  const { id: sandboxId, snapshotId, resources } = sandbox;
  const json = { id: snapshotId, labels: {}, sandboxId, createdAtUtc: stoppedAt, resources, sizeInMB: 39 };
  return { status: 200, json };
}

export function resume(request: WireRequest, sandbox: StoredSandbox): WireReply {
  if (isDisabled(sandbox)) {
    throw new WireError(409, "SandboxAdminDisabled", `Sandbox '${sandbox.id}' was disabled by an administrator`);
  }
  if (sandbox.state !== "Stopped") {
    throw new WireError(409, "InvalidSandboxState", `Sandbox '${sandbox.id}' is not in Stopped state`);
  }
  wake(sandbox);
  return { status: 200, json: viewOf(sandbox, request) };
}

/** Details of the stop stay, as recorded. */
export function wake(sandbox: StoredSandbox): void {
  sandbox.state = "Running";
  sandbox.settlesTo = undefined;
}

/** Stopped first, and not to be woken before it is enabled. */
export function disable(request: WireRequest, sandbox: StoredSandbox, pace: Pace): WireReply {
  if (sandbox.state === "Running") stop(sandbox, pace);
  sandbox.stateDetails = { stoppedReason: "Disabled", stoppedAt: new Date().toISOString() };
  return { status: 200, json: viewOf(sandbox, request) };
}

export function enable(request: WireRequest, sandbox: StoredSandbox): WireReply {
  if (isDisabled(sandbox)) sandbox.stateDetails = { ...sandbox.stateDetails!, stoppedReason: "UserStopped" };
  return { status: 200, json: viewOf(sandbox, request) };
}

/** Each look at a sandbox on its way brings it further. */
export function advance(sandbox: StoredSandbox): void {
  if (!sandbox.settlesTo || sandbox.pollsLeft-- > 0) return;
  sandbox.state = sandbox.settlesTo;
  sandbox.settlesTo = undefined;
}

export function isDisabled({ state, stateDetails }: StoredSandbox): boolean {
  return state !== "Running" && stateDetails?.stoppedReason === "Disabled";
}

export function notRunning({ id }: StoredSandbox): WireError {
  return new WireError(409, "SandboxNotRunning", `Sandbox '${id}' is not in Running state`);
}
