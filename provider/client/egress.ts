import type { CallOptions, HttpClient, HttpRequest } from "./http";
import { allOf, eachLinked } from "./pages";
import { removeIfThere } from "./removal";
import {
  type EgressPolicyContent,
  type NamedEgressPolicyView,
  namedEgressPolicyPage,
  namedEgressPolicyView,
} from "./wire/egress";

/** Egress policies of one group, which its sandboxes name by `egressPolicyId`. */
export class EgressPoliciesApi {
  readonly #http: HttpClient;
  readonly #path: string;

  constructor(http: HttpClient, groupPath: string) {
    this.#http = http;
    this.#path = `${groupPath}/egressPolicies`;
  }

  /** Creates, or replaces all of it, whoever made it. It holds at once for all sandboxes that name it. Repeatable. */
  put(
    id: string,
    content: EgressPolicyContent & { description?: string },
    { signal }: CallOptions = {},
  ): Promise<NamedEgressPolicyView> {
    const request = {
      method: "PUT",
      path: this.#one(id),
      json: content,
      action: `write egress policy "${id}"`,
    } as const;
    return this.#http.json(namedEgressPolicyView, { ...request, signal });
  }

  get(id: string, { signal }: CallOptions = {}): Promise<NamedEgressPolicyView> {
    const request = { method: "GET", path: this.#one(id), action: `read egress policy "${id}"`, signal } as const;
    return this.#http.json(namedEgressPolicyView, request);
  }

  list({ signal }: CallOptions = {}): Promise<NamedEgressPolicyView[]> {
    const request: HttpRequest = { method: "GET", path: this.#path, action: "list egress policies", signal };
    return allOf(eachLinked(this.#http, namedEgressPolicyPage, request));
  }

  /** Succeeds also when it was not there. */
  delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    return removeIfThere(this.#http, { path: this.#one(id), action: `delete egress policy "${id}"`, signal });
  }

  #one(id: string): string {
    return `${this.#path}/${encodeURIComponent(id)}`;
  }
}
