import { createHash } from "node:crypto";
import { callerOf } from "./azure/caller";
import { assignHint, dataOwnerRoleId } from "./azure/hints";
import { groupsPath } from "./connection";
import { isSandboxesError, SandboxesError } from "./errors";
import { isMissing } from "./failures";
import type { CallOptions, HttpClient } from "./http";
import { removeIfThere } from "./removal";

const apiVersion = "2022-04-01";

/** Who may use what is in one group of Azure (the control plane's roles). */
export class RoleAssignmentsApi {
  readonly #http: HttpClient;
  readonly #scope: string;

  constructor(http: HttpClient, group: string) {
    this.#http = http;
    this.#scope = `${groupsPath(http.connection)}/${encodeURIComponent(group)}`;
  }

  /**
   * Gives whoever signs in the role Data Owner of the group. Answers the assignment's id when it is the one that this
   * makes, undefined when somebody else had made one before. Repeatable: the name follows from group and caller.
   */
  async assignDataOwner({ signal }: CallOptions = {}): Promise<string | undefined> {
    const { connection } = this.#http;
    if (!connection.azure) throw new SandboxesError("Unsupported", "A self-hosted endpoint has no roles");
    const { principalId, principalType } = await callerOf(connection.azure, signal);
    const roleDefinitionId = `/subscriptions/${connection.subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${dataOwnerRoleId}`;
    const path = `${this.#scope}/providers/Microsoft.Authorization/roleAssignments/${nameOf(this.#scope, principalId)}`;
    const json = { properties: { roleDefinitionId, principalId, principalType } };
    const action = "assign the role Container Apps SandboxGroup Data Owner";
    const query = { "api-version": apiVersion };
    try {
      await this.#http.status({ method: "PUT", path, json, query, action, signal });
      return path;
    } catch (error) {
      if (isSandboxesError(error) && error.serviceCode === "RoleAssignmentExists") {
        return (await this.exists(path, { signal })) ? path : undefined;
      }
      if (!isSandboxesError(error, "Forbidden")) throw error;
      const { message, requestId, serviceCode } = error;
      const hint = assignHint(this.#scope, principalId);
      throw new SandboxesError("Forbidden", message, { requestId, serviceCode, hint });
    }
  }

  async exists(id: string, { signal }: CallOptions = {}): Promise<boolean> {
    const request = { method: "GET", path: id, query: { "api-version": apiVersion }, signal } as const;
    try {
      await this.#http.status({ ...request, action: "read a role assignment" });
      return true;
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  }

  /** Succeeds also when it was not there. */
  delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    const query = { "api-version": apiVersion };
    return removeIfThere(this.#http, { path: id, query, action: "remove a role assignment", signal });
  }
}

/** The GUID that names the assignment: always the same for one group and caller. */
function nameOf(scope: string, principalId: string): string {
  const text = `${scope.toLowerCase()}\n${dataOwnerRoleId}\n${principalId}`;
  const hex = createHash("sha256").update(text).digest("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), `5${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    "-",
  );
}
