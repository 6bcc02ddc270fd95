import { randomBytes, randomUUID } from "node:crypto";
import { WireError, type WireReply, type WireRequest } from "./wire";

export interface IssuedToken {
  audience: string;
  expiresAt: number;
}

/** A token endpoint as Entra's, and what the planes know of its tokens. Speaks OAuth's client credentials only. */
export class Tokens {
  readonly issued = new Map<string, IssuedToken>();
  /** How the caller proved who it is, in the order of requests. */
  readonly grants: URLSearchParams[] = [];
  readonly tenant = "11111111-1111-1111-1111-111111111111";
  readonly clientId = "22222222-2222-2222-2222-222222222222";
  /** Object id of whoever signs in. */
  readonly principalId = "44444444-4444-4444-4444-444444444444";
  readonly clientSecret = "dOuBle~client-secret/of+the=tests";
  /** Assertions that are taken; none: any. */
  assertion: string | undefined;
  lifeSeconds = 3600;

  /** Issues a token without asking; for the ways to sign in that do not come by here. */
  issue(audience: string): string {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const claims = { aud: audience, oid: this.principalId, tid: this.tenant, idtyp: "app", jti: randomUUID() };
    const token = [part({ typ: "JWT", alg: "none" }), part(claims), randomBytes(16).toString("hex")].join(".");
    this.issued.set(token, { audience, expiresAt: Date.now() + this.lifeSeconds * 1000 });
    return token;
  }

  /** Requests to the authority. */
  handle(request: WireRequest, endpoint: string): WireReply {
    const base = `${endpoint}/${this.tenant}`;
    if (request.path.endsWith("/.well-known/openid-configuration")) {
      return {
        status: 200,
        json: {
          issuer: `${base}/v2.0`,
          authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
          token_endpoint: `${base}/oauth2/v2.0/token`,
          jwks_uri: `${base}/discovery/v2.0/keys`,
        },
      };
    }
    if (!request.path.endsWith("/oauth2/v2.0/token")) throw new WireError(404, "NotFound", request.path);
    const form = new URLSearchParams(request.body.toString("utf8"));
    this.grants.push(form);
    const known =
      form.get("client_id") === this.clientId &&
      (form.get("client_secret") === this.clientSecret ||
        (form.get("client_assertion") && [undefined, form.get("client_assertion")].includes(this.assertion)));
    if (!known) {
      const text = `AADSTS7000215: Invalid client secret provided: ${form.get("client_secret")}`;
      return { status: 401, json: { error: "invalid_client", error_description: text, error_codes: [7000215] } };
    }
    const scope = (form.get("scope") ?? "").split(" ").find((each) => each.endsWith("/.default")) ?? "";
    const token = this.issue(scope.replace(/\/\.default$/, ""));
    return {
      status: 200,
      json: {
        token_type: "Bearer",
        expires_in: this.lifeSeconds,
        ext_expires_in: this.lifeSeconds,
        access_token: token,
      },
    };
  }

  /** Refuses whoever has no token for that audience. */
  require(request: WireRequest, audiences: readonly string[]): void {
    const token = String(request.headers.authorization ?? "").replace(/^Bearer /, "");
    const known = this.issued.get(token);
    if (known && known.expiresAt > Date.now() && audiences.includes(known.audience)) return;
    throw new WireError(401, "InvalidAuthenticationToken", "The access token is invalid.");
  }
}
