import { mkdtemp, readdir, rm } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { createImageStore, type ImageStore } from "../../../../provider/host/images";
import { closeScriptedRegistries, type LayerRequest, sendPart, startScriptedRegistry } from "./scriptedRegistry";

const layerBytes = 2_000_000;
const credentials = { username: "user", password: "secret" };
const basic = `Basic ${Buffer.from("user:secret").toString("base64")}`;

let work: string;
let store: ImageStore;
let count = 0;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "authorization-"));
});
afterAll(() => rm(work, { recursive: true }));
beforeEach(() => {
  store = createImageStore({ dataDir: join(work, `data-${++count}`), limits: { retryPauseMs: 10 } });
});
afterEach(closeScriptedRegistries);

/** A registry with a token service as Docker Hub's is; each token is good for `uses` requests. */
async function startTokenRegistry(uses: number, send: (layer: Buffer, call: LayerRequest) => void = sendPart) {
  const tokenRequests: URL[] = [];
  const seen: { path: string; authorization: string | undefined }[] = [];
  const left = new Map<string, number>();
  const registry = await startScriptedRegistry(layerBytes, send, (request, response) => {
    const url = new URL(request.url ?? "", `http://${request.headers.host}`);
    if (url.pathname === "/token") {
      tokenRequests.push(url);
      if (request.headers.authorization !== basic) return refuse(response, 401, "incorrect username or password");
      const token = `token-${tokenRequests.length}`;
      left.set(token, uses);
      response.end(JSON.stringify({ token, expires_in: 60 }));
      return "answered";
    }
    seen.push({ path: url.pathname, authorization: request.headers.authorization });
    const token = request.headers.authorization?.replace("Bearer ", "") ?? "";
    const remaining = left.get(token) ?? 0;
    if (remaining > 0) {
      left.set(token, remaining - 1);
      return undefined;
    }
    const scope = `scope="repository:scripted:pull,push"`;
    response.setHeader("www-authenticate", `Bearer realm="http://${url.host}/token",service="the \\"test\\"",${scope}`);
    return refuse(response, 401, "authentication required");
  });
  return { registry, tokenRequests, seen };
}

function refuse(response: ServerResponse, status: number, message: string): "answered" {
  response.writeHead(status).end(JSON.stringify({ errors: [{ code: "UNAUTHORIZED", message }] }));
  return "answered";
}

it("gets a token for what the registry names, with the caller's password", async () => {
  const { registry, tokenRequests, seen } = await startTokenRegistry(100);
  await store.import(registry.reference, { credentials });
  expect(tokenRequests[0]?.searchParams.get("service")).toBe('the "test"');
  expect(tokenRequests[0]?.searchParams.get("scope")).toBe("repository:scripted:pull,push");
  expect(seen.every(({ authorization }) => !authorization?.startsWith("Basic"))).toBe(true);
});

it("gets another token when one has expired in the midst of a download", async () => {
  const { registry, tokenRequests } = await startTokenRegistry(1, (layer, call) => sendPart(layer, call, 1_300_000));
  await store.import(registry.reference, { credentials });
  expect(tokenRequests.length).toBeGreaterThanOrEqual(4);
});

it("tells refused credentials from missing ones, and repeats none", async () => {
  const { registry } = await startTokenRegistry(1);
  const wrong = { username: "user", password: "hunter2" };
  const refused = await store.import(registry.reference, { credentials: wrong }).catch((error) => error);
  expect(refused).toMatchObject({
    code: "RegistryFailed",
    message: expect.stringMatching(/refused the credentials \(HTTP 401: UNAUTHORIZED incorrect/),
  });
  expect(`${refused} ${refused.hint}`).not.toMatch(/hunter2/);
  await expect(store.import(registry.reference)).rejects.toMatchObject({
    message: expect.stringMatching(/wants credentials/),
    hint: expect.stringMatching(/give credentials/),
  });
  expect(await readdir(join(work, `data-${count}`, "images", ".importing"))).toEqual([]);
});

it("hands a password to no token service that others can listen to", async () => {
  let asked = false;
  const registry = await startScriptedRegistry(layerBytes, sendPart, (request, response) => {
    if (request.headers.authorization) asked = true;
    if (request.url === "/v2/") return undefined;
    response.setHeader("www-authenticate", 'Bearer realm="http://tokens.invalid/token",service="x"');
    return refuse(response, 401, "authentication required");
  });
  await expect(store.import(registry.reference, { credentials })).rejects.toMatchObject({
    message: expect.stringMatching(/no safe token service/),
  });
  expect(asked).toBe(false);
});

it("follows a redirect of a blob, and gives what is authorized nowhere else", async () => {
  const elsewhere: IncomingMessage[] = [];
  const storage = await startScriptedRegistry(layerBytes, (layer, call) => {
    elsewhere.push(call.request);
    sendPart(layer, call, 1_300_000);
  });
  const { registry } = await startTokenRegistry(100, (_, { request, response }) => {
    response.removeHeader("content-length");
    response.writeHead(307, { location: `http://${storage.host}${request.url}?signature=s3cret` }).end();
  });
  await store.import(registry.reference, { credentials });
  expect(elsewhere).toHaveLength(2);
  expect(elsewhere.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined]);
  expect(elsewhere[1]?.headers.range).toMatch(/^bytes=1\d{6}-$/);
});
