import { checkBody } from "./schemas";
import { jsonOf, WireError, type WireReply, type WireRequest } from "./wire";

export interface StoredAssignment {
  scope: string;
  roleDefinitionId: string;
  principalId: string;
}

const apiVersion = "2022-04-01";
const pattern = /^(.*)\/providers\/Microsoft\.Authorization\/roleAssignments\/([^/]+)$/i;

/** Azure's roles, as far as one is given at a scope and taken away. */
export class RoleAssignments {
  /** By scope and name, in lower case. */
  readonly all = new Map<string, StoredAssignment>();
  /** Set, nobody may assign. */
  refuses = false;
  readonly #violations: string[];

  constructor(violations: string[]) {
    this.#violations = violations;
  }

  /** Undefined for a path that is not its own. */
  handle(request: WireRequest): WireReply | undefined {
    const match = pattern.exec(request.path);
    if (!match) return undefined;
    if (request.apiVersion !== apiVersion) throw new WireError(400, "InvalidApiVersion", request.apiVersion);
    const [, scope = "", name = ""] = match;
    const key = request.path.toLowerCase();
    const known = this.all.get(key);
    if (request.method === "PUT") return this.#put(request, scope, name, key, known);
    if (request.method === "DELETE") {
      this.all.delete(key);
      return known ? { status: 200, json: viewOf(name, known) } : { status: 204 };
    }
    if (!known) throw new WireError(404, "RoleAssignmentNotFound", `The role assignment '${name}' is not found.`);
    return { status: 200, json: viewOf(name, known) };
  }

  #put(request: WireRequest, scope: string, name: string, key: string, known?: StoredAssignment): WireReply {
    const { properties } = checkBody("roleAssignment", jsonOf(request), request, this.#violations);
    if (!/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(name)) {
      throw new WireError(400, "InvalidRoleAssignmentId", `'${name}' is no GUID.`);
    }
    if (this.refuses) throw new WireError(403, "AuthorizationFailed", "The client may not perform this action.");
    const assignment: StoredAssignment = { scope, ...properties };
    const twin = [...this.all].find(([other, each]) => other !== key && isSame(each, assignment));
    if (twin) throw new WireError(409, "RoleAssignmentExists", "The role assignment already exists.");
    this.all.set(key, assignment);
    return { status: known ? 200 : 201, json: viewOf(name, assignment) };
  }
}

function isSame(one: StoredAssignment, other: StoredAssignment): boolean {
  const plain = ({ scope, roleDefinitionId, principalId }: StoredAssignment) =>
    [scope, roleDefinitionId, principalId].join("\n").toLowerCase();
  return plain(one) === plain(other);
}

function viewOf(name: string, { scope, roleDefinitionId, principalId }: StoredAssignment): object {
  const id = `${scope}/providers/Microsoft.Authorization/roleAssignments/${name}`;
  return {
    id,
    name,
    type: "Microsoft.Authorization/roleAssignments",
    properties: { scope, roleDefinitionId, principalId },
  };
}
