import type { StoredConnection, StoredGroup } from "./model";
import { checkBody } from "./schemas";
import { jsonOf, WireError, type WireReply, type WireRequest } from "./wire";

const subnetPattern =
  /^\/subscriptions\/[^/]+\/resourceGroups\/[^/]+\/providers\/Microsoft\.Network\/virtualNetworks\/[^/]+\/subnets\/[^/]+$/i;

/** Begins an operation; its headers and address. `finish` is called with its error, or none, when it ends. */
export type Begin = (
  group: StoredGroup,
  finish: (error?: object) => void,
) => { headers: Record<string, string>; location: string };

/** Connections of a group to subnets, on the control plane. */
export class VnetConnections {
  readonly #violations: string[];
  readonly #begin: Begin;

  constructor(violations: string[], begin: Begin) {
    this.#violations = violations;
    this.#begin = begin;
  }

  handle(request: WireRequest, group: StoredGroup, groupId: string, name?: string): WireReply {
    const all = group.vnetConnections;
    if (name === undefined) {
      return { status: 200, json: { value: [...all.values()].map((each) => viewOf(groupId, each)) } };
    }
    const key = name.toLowerCase();
    const connection = all.get(key);
    if (request.method === "PUT") return this.#put(request, group, groupId, name);
    if (request.method === "DELETE") {
      if (!connection) return { status: 204 };
      connection.provisioningState = "Deleting";
      const { headers, location } = this.#begin(group, (error) => {
        if (error) connection.provisioningState = "Failed";
        else all.delete(key);
      });
      return { status: 202, headers: { ...headers, location } };
    }
    if (!connection) throw new WireError(404, "ResourceNotFound", `The VNet connection '${name}' was not found.`);
    if (request.method !== "GET") throw new WireError(405, "MethodNotAllowed", request.method);
    return { status: 200, json: viewOf(groupId, connection) };
  }

  #put(request: WireRequest, group: StoredGroup, groupId: string, name: string): WireReply {
    const { properties } = checkBody("vnetConnection", jsonOf(request), request, this.#violations);
    const { subnetId } = properties;
    if (!subnetPattern.test(subnetId)) throw new WireError(400, "InvalidSubnet", `'${subnetId}' is no subnet.`);
    const old = group.vnetConnections.get(name.toLowerCase());
    if (old && old.subnetId.toLowerCase() !== subnetId.toLowerCase()) {
      throw new WireError(409, "Conflict", "The subnet of a VNet connection cannot be changed.");
    }
    const connection: StoredConnection = { name, subnetId, provisioningState: "InProgress" };
    group.vnetConnections.set(name.toLowerCase(), connection);
    const { headers } = this.#begin(group, (error) => {
      connection.provisioningState = error ? "Failed" : "Succeeded";
    });
    return { status: old ? 200 : 201, headers, json: viewOf(groupId, connection) };
  }
}

function viewOf(groupId: string, { name, subnetId, provisioningState }: StoredConnection): object {
  return {
    id: `${groupId}/vnetconnections/${name}`,
    name,
    type: "Microsoft.App/sandboxGroups/vnetConnections",
    properties: { subnetId, provisioningState },
  };
}
