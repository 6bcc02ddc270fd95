import { SandboxesError } from "../client/errors";
import { type GroupRef, groupIdOf } from "./ids";

export interface VnetConnectionRef extends GroupRef {
  name: string;
}

const pattern =
  /^\/subscriptions\/([^/]+)\/resourceGroups\/([^/]+)\/providers\/Microsoft\.App\/sandboxGroups\/([^/]+)\/vnetConnections\/([^/]+)$/i;

/** The ARM id of a connection; enough by itself to find it again. */
export function vnetConnectionIdOf({ name, ...group }: VnetConnectionRef): string {
  return `${groupIdOf(group)}/vnetConnections/${name}`;
}

/** Reads such an id; undefined for other text. */
export function readVnetConnectionId(id: string): VnetConnectionRef | undefined {
  const match = pattern.exec(id);
  if (!match) return undefined;
  return { subscriptionId: match[1]!, resourceGroupName: match[2]!, groupName: match[3]!, name: match[4]! };
}

/** As `readVnetConnectionId`; throws `Invalid` for other text. */
export function requireVnetConnectionId(id: string): VnetConnectionRef {
  const ref = readVnetConnectionId(id);
  if (ref) return ref;
  throw new SandboxesError("Invalid", `"${id}" is not the id of a VNet connection`);
}
