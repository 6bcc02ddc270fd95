import type { EgressPolicy } from "../../../provider/client/wire/egress";
import type { StoredSandbox } from "./model";
import { newer, older, type WireRequest } from "./wire";

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
    ...(egressPolicy && { egressPolicy: shownPolicy(egressPolicy, request) }),
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

/** A policy with the default that the newer version's description gives to a rule's action. */
export function shownPolicy<Policy extends EgressPolicy>(policy: Policy, request: WireRequest): Policy {
  if (request.apiVersion !== newer) return policy;
  const filled = (rules: EgressPolicy["rules"]) =>
    rules?.map((rule) => (rule.action ? { ...rule, action: { forward: "default", ...rule.action } } : rule));
  const { http, rules } = policy;
  return {
    ...policy,
    ...(rules && { rules: filled(rules) }),
    ...(http && { http: { ...http, rules: filled(http.rules) } }),
  };
}
