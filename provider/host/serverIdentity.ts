import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, isIPv6 } from "node:net";
import { join } from "node:path";
import { SandboxesError } from "../client/errors";
import { parseListen } from "./serverListen";

/** What Azure's SDKs ask tokens for, without the slash at the end that some write. */
const resources = new Set([
  "https://dynamicsessions.io",
  "https://management.azuredevcompute.io",
  "https://management.azure.com",
  "https://management.core.windows.net",
]);
/** SDKs ask again after that; the host's token itself has no end. */
const tokenLifeSeconds = 3600;

export interface IdentityEndpoint {
  /** For `IDENTITY_ENDPOINT`. */
  url: string;
  /** The text in it is for `IDENTITY_HEADER`; the same for the life of the data directory. */
  headerFile: string;
  close(): Promise<void>;
}

/**
 * Gives the host's token to whoever knows the header, as an App Service's identity endpoint does, so that
 * `DefaultAzureCredential` works unchanged. Listens on loopback only: it speaks plain HTTP.
 */
export async function startIdentityEndpoint(options: {
  /** `127.0.0.1:PORT`, `[::1]:PORT`. */
  listen: string;
  dataDir: string;
  token: string | undefined;
}): Promise<IdentityEndpoint> {
  const address = parseListen(options.listen);
  if (!("port" in address) || !/^(127\.\d+\.\d+\.\d+|::1|localhost)$/.test(address.host)) {
    throw new SandboxesError(
      "Invalid",
      `Cannot give out tokens on "${options.listen}": only loopback addresses will do`,
    );
  }
  const { token } = options;
  if (token === undefined) throw new SandboxesError("Invalid", "Cannot give out tokens: the host has none");
  const headerFile = join(options.dataDir, "identity-header");
  const secret = readSecret(headerFile);
  const server = createServer((request, response) => answer(request, response, { secret, token }));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(address.port, address.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${isIPv6(address.host) ? `[${address.host}]` : address.host}:${port}/msi/token`,
    headerFile,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(request: IncomingMessage, response: ServerResponse, known: { secret: string; token: string }): void {
  const say = (status: number, body: object) =>
    response
      .writeHead(status, { "content-type": "application/json; charset=utf-8", "cache-control": "no-store" })
      .end(JSON.stringify(body));
  const url = new URL(request.url ?? "/", "http://localhost");
  if (request.method !== "GET" || url.pathname !== "/msi/token")
    return void say(404, oauthError("not_found", "No such address"));
  const sent = request.headers["x-identity-header"];
  if (typeof sent !== "string" || !equal(sent, known.secret)) {
    return void say(401, oauthError("unauthorized_client", "The X-IDENTITY-HEADER is missing or wrong"));
  }
  const resource = url.searchParams.get("resource") ?? "";
  if (!resources.has(resource.replace(/\/$/, ""))) {
    return void say(400, oauthError("invalid_resource", `This host has no token for "${resource}"`));
  }
  const expiresOn = Math.floor(Date.now() / 1000) + tokenLifeSeconds;
  say(200, { access_token: known.token, expires_on: String(expiresOn), resource, token_type: "Bearer" });
}

function oauthError(error: string, description: string): object {
  return { error, error_description: description };
}

function readSecret(path: string): string {
  if (!existsSync(path)) writeFileSync(path, randomBytes(32).toString("hex"), { mode: 0o600, flag: "wx" });
  return readFileSync(path, "utf8").trim();
}

function equal(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
