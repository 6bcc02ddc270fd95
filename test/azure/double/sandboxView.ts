import type { StoredSandbox } from "./model";
import { older, type WireRequest } from "./wire";

/** A sandbox as the service was recorded to show it: fields come and go with its state. */
export function viewOf(sandbox: StoredSandbox, request: WireRequest, isNew = false): object {
  const { id, labels, sourcesRef, resources, createdAt, state, ports, lifecycle, entrypoint, volumes, more } = sandbox;
  const { stateDetails, snapshotId, egressPolicy, egressPolicyId } = sandbox;
  return {
    id,
    labels,
    ...(request.apiVersion === older && { vmmType: "cloudhypervisor" }),
    ...(isNew && entrypoint && { entrypoint }),
    sourcesRef,
    resources,
    createdAt,
    state,
    ...(stateDetails && { stateDetails, snapshotId, coldStorageSizeInMB: 39 }),
    ports,
    ...(egressPolicy && { egressPolicy }),
    ...(egressPolicyId && { egressPolicyId }),
    connections: [],
    credentialRefs: [],
    ...(state === "Running" && { region: "eastus2" }),
    lifecycle,
    managementUrl: `https://${request.headers.host}`,
    volumes,
    contentPackageDownloads: [],
    ...more,
    ...(state === "Stopped" && { outboundIpAddresses: ["172.203.106.72"] }),
  };
}
