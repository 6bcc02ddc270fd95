import type { EgressPolicy } from "../../../provider/client/wire/egress";
import { secretId } from "../../../provider/client/wire/secrets";
import type { StoredGroup } from "./model";
import { shownPolicy } from "./sandboxView";
import { checkBody } from "./schemas";
import { jsonOf, newer, WireError, type WireReply, type WireRequest } from "./wire";

const at = "2026-10-05T23:00:11.9495386+00:00";

/** What its maker names: secrets, whose values are never read back, and egress policies. */
export class Named {
  readonly #violations: string[];

  constructor(violations: string[]) {
    this.#violations = violations;
  }

  handle(
    request: WireRequest,
    group: StoredGroup,
    noun: "secrets" | "egressPolicies",
    id?: string,
    verb?: string,
  ): WireReply {
    const all = group[noun] as Map<string, object>;
    if (id === undefined || id === "") return this.#list(request, noun, all);
    if (request.method === "PUT") {
      const body = jsonOf(request);
      const isSecret = noun === "secrets";
      if (isSecret && !secretId.safeParse(id).success) {
        throw new WireError(400, "InvalidRequest", "The secret id is invalid.", { id: ["The secret id is invalid."] });
      }
      const content = isSecret
        ? checkBody("secret", body, request, this.#violations).values
        : checkBody("namedEgress", body, request, this.#violations);
      const status = all.has(id) ? 200 : 201;
      all.set(id, content);
      return { status, json: { ...(isSecret ? {} : shownPolicy(content, request)), id, createdAt: at, updatedAt: at } };
    }
    if (request.method === "DELETE") {
      // No answer of Azure's refuses one that is in use; whoever named it keeps what it said.
      const content = all.get(id);
      for (const each of group.sandboxes.values()) {
        if (noun !== "egressPolicies" || each.egressPolicyId !== id) continue;
        Object.assign(each, { egressPolicy: content, egressPolicyId: undefined });
      }
      all.delete(id);
      return { status: 204 };
    }
    const found = all.get(id);
    if (!found) throw new WireError(404, noun === "secrets" ? "SecretNotFound" : "EgressPolicyNotFound", "Not found.");
    if (noun === "secrets") {
      if (verb === "peek" && request.method === "POST") return { status: 200, json: { id, values: found } };
      if (verb !== "keys") throw new WireError(405, "MethodNotAllowed", request.method);
      return { status: 200, json: { keys: Object.keys(found) } };
    }
    return { status: 200, json: { ...shownPolicy(found as EgressPolicy, request), id, createdAt: at, updatedAt: at } };
  }

  #list(request: WireRequest, noun: "secrets" | "egressPolicies", all: Map<string, object>): WireReply {
    const items = [...all].map(([id, content]) => ({
      ...(noun === "secrets" ? {} : content),
      id,
      createdAt: at,
      updatedAt: at,
    }));
    if (noun === "egressPolicies" && request.apiVersion === newer) return { status: 200, json: { value: items } };
    return { status: 200, json: { [noun]: items } };
  }
}
