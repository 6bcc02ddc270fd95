import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type IdentityEndpoint, startIdentityEndpoint } from "../../provider/host/serverIdentity";
import { hasCode } from "./fakes/shelf";

const token = "0123456789abcdef";
let dataDir: string;
let endpoint: IdentityEndpoint;

beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "identity-"));
  endpoint = await startIdentityEndpoint({ listen: "127.0.0.1:0", dataDir, token });
});
afterEach(async () => {
  await endpoint.close();
  rmSync(dataDir, { recursive: true });
});

const header = () => readFileSync(endpoint.headerFile, "utf8");
const ask = async (resource: string, secret?: string) => {
  const url = `${endpoint.url}?api-version=2019-08-01&resource=${encodeURIComponent(resource)}`;
  const reply = await fetch(url, secret === undefined ? {} : { headers: { "X-IDENTITY-HEADER": secret } });
  return { status: reply.status, body: (await reply.json()) as Record<string, string> };
};

describe("the identity endpoint", () => {
  test("gives the host's token to who knows the header, for what Azure's SDKs ask", async () => {
    for (const resource of ["https://dynamicsessions.io", "https://management.azure.com/"]) {
      const { status, body } = await ask(resource, header());
      expect([status, body]).toEqual([
        200,
        { access_token: token, expires_on: expect.stringMatching(/^\d{10}$/), resource, token_type: "Bearer" },
      ]);
    }
  });

  test("gives it to nobody else, and for nothing else", async () => {
    for (const secret of [undefined, "", "wrong", `${header()}x`]) {
      const { status, body } = await ask("https://dynamicsessions.io", secret);
      expect(status).toBe(401);
      expect(JSON.stringify(body)).not.toContain(token);
    }
    expect(await ask("https://vault.azure.net", header())).toMatchObject({
      status: 400,
      body: { error: "invalid_resource" },
    });
    expect((await fetch(new URL("/", endpoint.url), { headers: { "X-IDENTITY-HEADER": header() } })).status).toBe(404);
  });

  test("keeps its header for the data directory, readable by its owner alone", async () => {
    const before = header();
    expect(statSync(endpoint.headerFile).mode & 0o777).toBe(0o600);
    await endpoint.close();
    endpoint = await startIdentityEndpoint({ listen: "[::1]:0", dataDir, token }).catch(() =>
      startIdentityEndpoint({ listen: "127.0.0.1:0", dataDir, token }),
    );
    expect(header()).toBe(before);
  });

  test.each(["0.0.0.0:0", "192.0.2.1:80", "unix:/tmp/x"])("is not opened on %s", async (listen) => {
    await expect(startIdentityEndpoint({ listen, dataDir, token })).rejects.toSatisfy(hasCode("Invalid"));
  });

  test("is not opened by a host without a token", async () => {
    const opened = startIdentityEndpoint({ listen: "127.0.0.1:0", dataDir, token: undefined });
    await expect(opened).rejects.toSatisfy(hasCode("Invalid"));
  });
});
