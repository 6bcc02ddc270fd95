import { randomUUID } from "node:crypto";
import { identityAfter } from "./identity";
import { emptyContent, type Pace, type StoredGroup, type StoredOperation } from "./model";
import { RoleAssignments } from "./roleAssignments";
import { checkBody } from "./schemas";
import { VnetConnections } from "./vnetConnections";
import { jsonOf, WireError, type WireReply, type WireRequest } from "./wire";

const versions = ["2026-02-01-preview", "2026-07-01"];
/** From here on a group has an environment, and its identity is not in the model. */
const environmentVersion = "2026-07-01";
const pageSize = 20;
const groupPattern =
  /^\/subscriptions\/([^/]+)\/resourceGroups\/([^/]+)\/providers\/Microsoft\.App\/sandboxGroups(?:\/([^/]+)(?:\/(vnetConnections)(?:\/([^/]+))?)?)?$/i;
const operationPattern =
  /^\/subscriptions\/[^/]+\/providers\/Microsoft\.App\/locations\/[^/]+\/operationStatuses\/([^/]+)$/i;

/** Azure Resource Manager, as far as it knows sandbox groups. */
export class ControlPlane {
  readonly groups = new Map<string, StoredGroup>();
  readonly resourceGroups: Set<string>;
  readonly subscriptionId: string;
  readonly operations = new Map<string, StoredOperation>();
  readonly #pace: Pace;
  readonly #violations: string[];
  readonly #connections: VnetConnections;
  readonly roles: RoleAssignments;
  /** Addresses of this plane and of the data plane. */
  endpoint = "";
  dataEndpoint = "";

  constructor(pace: Pace, violations: string[], subscriptionId: string, resourceGroups: string[]) {
    this.#pace = pace;
    this.#violations = violations;
    this.subscriptionId = subscriptionId;
    this.resourceGroups = new Set(resourceGroups.map((name) => name.toLowerCase()));
    this.roles = new RoleAssignments(violations);
    this.#connections = new VnetConnections(violations, (group, finish) => {
      const error = this.#pace.operationErrors.shift();
      const operation = this.#begin(error, () => finish(error));
      return { headers: this.#headers(group, operation), location: this.#address(group, operation) };
    });
  }

  handle(request: WireRequest): WireReply {
    const role = this.roles.handle(request);
    if (role) return role;
    if (!versions.includes(request.apiVersion)) {
      throw new WireError(400, "NoRegisteredProviderFound", `No registered provider for '${request.apiVersion}'.`);
    }
    const operation = operationPattern.exec(request.path);
    if (operation) return this.#operation(operation[1]!);
    const match = groupPattern.exec(request.path);
    if (!match) throw new WireError(404, "InvalidResourceType", `No such resource type: ${request.path}`);
    const [, subscription, resourceGroup = "", name, connections, connection] = match;
    if (subscription !== this.subscriptionId) {
      throw new WireError(404, "SubscriptionNotFound", `The subscription '${subscription}' could not be found.`);
    }
    if (!this.resourceGroups.has(resourceGroup.toLowerCase())) {
      throw new WireError(404, "ResourceGroupNotFound", `Resource group '${resourceGroup}' could not be found.`);
    }
    if (name === undefined) return this.#list(request, resourceGroup);
    const key = `${resourceGroup}/${decodeURIComponent(name)}`.toLowerCase();
    const group = this.groups.get(key);
    if (connections && group) {
      this.#look(request);
      return this.#connections.handle(request, group, this.#idOf(group), connection && decodeURIComponent(connection));
    }
    if (!connections && request.method === "PUT")
      return this.#put(request, key, resourceGroup, decodeURIComponent(name), group);
    if (!connections && request.method === "DELETE") return group ? this.#delete(key, group) : { status: 204 };
    if (!group) {
      const text = `The Resource 'Microsoft.App/sandboxGroups/${name}' under resource group '${resourceGroup}' was not found.`;
      throw new WireError(404, "ResourceNotFound", text);
    }
    if (request.method === "GET") return { status: 200, json: this.#view(request, group) };
    if (request.method === "PATCH") return this.#patch(request, group);
    throw new WireError(405, "MethodNotAllowed", request.method);
  }

  /** Whether somebody may use what is in the group. */
  hasRole(group: StoredGroup, principalId: string): boolean {
    const scope = this.#idOf(group).toLowerCase();
    return [...this.roles.all.values()].some(
      (each) => each.scope.toLowerCase() === scope && each.principalId === principalId,
    );
  }

  #put(request: WireRequest, key: string, resourceGroup: string, name: string, old?: StoredGroup): WireReply {
    const body = checkBody("groupPut", jsonOf(request), request, this.#violations);
    if (!body.properties)
      throw new WireError(400, "ValidationForResourceFailed", "The property 'properties' is required.");
    this.#checkProperties(request, body.properties);
    if (!/^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/.test(name)) throw new WireError(400, "InvalidResourceName", name);
    const location = body.location.toLowerCase().replaceAll(" ", "");
    if (old && old.location !== location) {
      const text = `The resource '${name}' already exists in location '${old.location}'.`;
      throw new WireError(409, "InvalidResourceLocation", text);
    }
    if (old?.provisioningState === "Deleting")
      throw new WireError(409, "AnotherOperationInProgress", "It is being deleted.");
    const knowsEnvironments = request.apiVersion >= environmentVersion;
    const { environmentId } = body.properties;
    if (old?.environmentId && knowsEnvironments && environmentId !== old.environmentId) {
      throw new WireError(409, "Conflict", "The environment of a sandbox group cannot be changed.");
    }
    const group: StoredGroup = {
      name,
      resourceGroup,
      location,
      tags: body.tags ?? {},
      // The version that knows environments drops the identity.
      identity: knowsEnvironments || !body.identity ? undefined : identityAfter(old?.identity, body.identity),
      environmentId: knowsEnvironments ? (environmentId ?? undefined) : old?.environmentId,
      provisioningState: "InProgress",
      roleFrom: old?.roleFrom ?? performance.now() + this.#pace.roleDelayMs,
      ...(old ? contentOf(old) : emptyContent()),
    };
    this.groups.set(key, group);
    const error = this.#pace.operationErrors.shift();
    const operation = this.#begin(error, () => {
      group.provisioningState = error ? "Failed" : "Succeeded";
    });
    const headers = this.#headers(group, operation);
    return { status: old ? 200 : 201, headers, json: this.#view(request, group) };
  }

  #patch(request: WireRequest, group: StoredGroup): WireReply {
    const body = checkBody("groupPatch", jsonOf(request), request, this.#violations);
    this.#checkProperties(request, body.properties ?? {});
    if (group.provisioningState === "Failed") throw new WireError(409, "Conflict", "The sandbox group has failed.");
    if (body.tags) group.tags = body.tags;
    if (body.identity && request.apiVersion >= environmentVersion) {
      this.#violations.push(`${request.method} ${request.path}: identity is not in ${request.apiVersion}`);
    }
    group.identity = identityAfter(group.identity, body.identity);
    const { environmentId } = body.properties ?? {};
    if (environmentId && group.environmentId && group.environmentId !== environmentId) {
      throw new WireError(409, "Conflict", "The environment of a sandbox group cannot be changed.");
    }
    if (environmentId) group.environmentId = environmentId;
    if (request.apiVersion < environmentVersion) return { status: 200, json: this.#view(request, group) };
    const operation = this.#begin(undefined, () => {
      group.provisioningState = "Succeeded";
    });
    group.provisioningState = "Updating";
    return { status: 202, headers: { location: this.#address(group, operation) }, json: this.#view(request, group) };
  }

  #delete(key: string, group: StoredGroup): WireReply {
    group.provisioningState = "Deleting";
    const error = this.#pace.operationErrors.shift();
    const operation = this.#begin(error, () => {
      if (error) group.provisioningState = "Failed";
      else {
        for (const sandbox of group.sandboxes.values()) sandbox.vm.crash("its group was deleted");
        this.groups.delete(key);
      }
    });
    return { status: 202, headers: { ...this.#headers(group, operation), location: this.#address(group, operation) } };
  }

  #list(request: WireRequest, resourceGroup: string): WireReply {
    const all = [...this.groups.values()].filter(
      (group) => group.resourceGroup.toLowerCase() === resourceGroup.toLowerCase(),
    );
    const start = Number(request.query.get("$skipToken") ?? 0);
    const query = new URLSearchParams({ "api-version": request.apiVersion, $skipToken: String(start + pageSize) });
    const more = all.length > start + pageSize;
    const value = all.slice(start, start + pageSize).map((group) => this.#view(request, group));
    return { status: 200, json: { value, nextLink: more ? `${this.endpoint}${request.path}?${query}` : undefined } };
  }

  #operation(id: string): WireReply {
    const operation = this.operations.get(id);
    if (!operation) throw new WireError(404, "OperationNotFound", "The operation is not known.");
    if (!this.#advance(operation)) {
      const { operationRetryAfter: after } = this.#pace;
      const headers: Record<string, string> = after === undefined ? {} : { "retry-after": String(after) };
      return { status: 200, headers, json: { id, name: id, status: "InProgress" } };
    }
    const { error } = operation;
    return { status: 200, json: { id, name: id, status: error ? "Failed" : "Succeeded", error } };
  }

  /** True once it has ended. Looking at the group advances it too, for clients that poll that. */
  #advance(operation: StoredOperation): boolean {
    if (operation.ended) return true;
    if (operation.pollsLeft-- > 0) return false;
    operation.ended = true;
    operation.finish();
    return true;
  }

  #begin(error: StoredOperation["error"], finish: () => void): StoredOperation {
    const operation = { id: randomUUID(), pollsLeft: this.#pace.operationPolls, ended: false, error, finish };
    this.operations.set(operation.id, operation);
    return operation;
  }

  #headers(group: StoredGroup, operation: StoredOperation): Record<string, string> {
    const { operationRetryAfter: after, operationHeader } = this.#pace;
    if (!operationHeader) return {};
    return {
      "azure-asyncoperation": this.#address(group, operation),
      ...(after !== undefined && { "retry-after": String(after) }),
    };
  }

  #address({ location }: StoredGroup, { id }: StoredOperation): string {
    const path = `/subscriptions/${this.subscriptionId}/providers/Microsoft.App/locations/${location}/operationStatuses/${id}`;
    return `${this.endpoint}${path}?api-version=2026-02-01-preview`;
  }

  #checkProperties(request: WireRequest, properties: object): void {
    const odd = Object.keys(properties).filter((key) => key !== "environmentId");
    if (odd.length > 0) this.#violations.push(`${request.method} ${request.path}: properties.${odd.join(", ")}`);
    if ("environmentId" in properties && request.apiVersion < environmentVersion) {
      this.#violations.push(`${request.method} ${request.path}: environmentId is not in ${request.apiVersion}`);
    }
  }

  /** Work goes on whether or not its operation is asked for: each look at a thing brings it further too. */
  #look(request: WireRequest): void {
    if (request.method !== "GET") return;
    for (const operation of this.operations.values()) this.#advance(operation);
  }

  /** ARM does not keep to one spelling of its own words. */
  #idOf({ resourceGroup, name }: StoredGroup): string {
    return `/subscriptions/${this.subscriptionId}/resourcegroups/${resourceGroup}/providers/Microsoft.App/sandboxgroups/${name}`;
  }

  #view(request: WireRequest, group: StoredGroup): object {
    this.#look(request);
    const { name, location, tags, identity, environmentId, provisioningState } = group;
    const knowsEnvironments = request.apiVersion >= environmentVersion;
    return {
      id: this.#idOf(group),
      name,
      type: "Microsoft.App/sandboxGroups",
      location,
      tags,
      ...(identity && !knowsEnvironments && { identity }),
      properties: {
        provisioningState,
        managementEndpoint: this.dataEndpoint,
        ...(environmentId && knowsEnvironments && { environmentId }),
      },
      systemData: { createdAt: "2026-10-05T23:00:11.9495386Z" },
    };
  }
}

function contentOf(group: StoredGroup): ReturnType<typeof emptyContent> {
  const { sandboxes, images, snapshots, volumes, secrets, egressPolicies, vnetConnections } = group;
  return { sandboxes, images, snapshots, volumes, secrets, egressPolicies, vnetConnections };
}
