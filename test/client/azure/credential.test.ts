import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { inspect } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { cloudOf } from "../../../provider/client/azure/clouds";
import { azureConnection, azureTokens } from "../../../provider/client/azure/connection";
import { readAzureSettings } from "../../../provider/client/azure/settings";
import { AzureDouble, controlAudience } from "../../azure/double/azureDouble";

let double: AzureDouble;
let folder: string;
const scope = `${controlAudience}/.default`;

beforeAll(async () => {
  double = await AzureDouble.start();
  folder = mkdtempSync(join(tmpdir(), "credentials-"));
});
afterEach(() => {
  vi.unstubAllEnvs();
  double.reset();
  double.tokens.grants.length = 0;
  double.tokens.assertion = undefined;
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await double[Symbol.asyncDispose]();
});

/** Signs in with these settings, besides those that name the double. */
function signIn(settings: Record<string, string>, environment: NodeJS.ProcessEnv = {}): Promise<string> {
  const all: Record<string, string> = { ...double.cloud(), ...settings };
  return azureTokens(
    readAzureSettings((name) => all[name], environment),
    double.ca,
  ).get(scope);
}

async function expectToken(token: Promise<string>): Promise<void> {
  expect(double.tokens.issued.get(await token)?.audience).toBe(controlAudience);
}

const who = () => ({ tenantId: double.tokens.tenant, clientId: double.tokens.clientId });

describe("signing in to Azure", () => {
  it("works with a client secret", async () => {
    await expectToken(signIn({ ...who(), clientSecret: double.tokens.clientSecret }));
    expect(double.tokens.grants[0]?.get("client_secret")).toBe(double.tokens.clientSecret);
  });

  it("takes everything from the environment, by either of its two families of names", async () => {
    const { tenant, clientId, clientSecret } = double.tokens;
    const environment = { ARM_TENANT_ID: tenant, AZURE_CLIENT_ID: clientId, ARM_CLIENT_SECRET: clientSecret };
    await expectToken(signIn({}, environment));
  });

  it("works with a certificate in PEM form, and prefers it to a secret", async () => {
    const [key, certificate] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
    const subject = ["-days", "2", "-subj", "/CN=test", "-keyout", key, "-out", certificate];
    execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", ...subject], { stdio: "ignore" });
    execFileSync("sh", ["-c", `cat "${key}" >> "${certificate}"`]);
    await expectToken(signIn({ ...who(), clientCertificatePath: certificate, clientSecret: "another-secret" }));
    expect(double.tokens.grants[0]?.get("client_assertion")).toMatch(/^ey/);
    expect(double.tokens.grants[0]?.has("client_secret")).toBe(false);
  });

  it("says how to convert a certificate that is not in PEM form", async () => {
    const path = join(folder, "certificate.pfx");
    writeFileSync(path, Buffer.from([0x30, 0x82, 1, 2]));
    await expect(signIn({ ...who(), clientCertificatePath: path })).rejects.toMatchObject({
      code: "Invalid",
      field: "clientCertificatePath",
      hint: expect.stringContaining("openssl pkcs12"),
    });
    await expect(signIn({ ...who(), clientCertificatePath: "/nowhere.pem" })).rejects.toMatchObject({
      message: expect.stringContaining("ENOENT"),
    });
  });

  it("works with an OIDC token, and with what a file holds at that time", async () => {
    double.tokens.assertion = "oidc-token-itself";
    await expectToken(signIn({ ...who(), useOidc: "true", oidcToken: "oidc-token-itself" }));
    const oidcTokenFilePath = join(folder, "token");
    writeFileSync(oidcTokenFilePath, "oidc-token-in-file\n");
    double.tokens.assertion = "oidc-token-in-file";
    await expectToken(signIn({ ...who(), useOidc: "true", oidcTokenFilePath }));
    await expect(signIn({ ...who(), useOidc: "true" })).rejects.toMatchObject({
      message: expect.stringContaining("needs a token, a file, or an address to ask"),
    });
  });

  it("gets its OIDC token from GitHub", async () => {
    await using issuer = await Issuer.start({ value: "github-issued-token" });
    double.tokens.assertion = "github-issued-token";
    const environment = {
      ACTIONS_ID_TOKEN_REQUEST_URL: `${issuer.url}/?job=1`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "gh-bearer",
    };
    await expectToken(signIn({ ...who(), useOidc: "true" }, environment));
    expect(issuer.seen[0]).toMatchObject({
      method: "GET",
      url: "/?job=1&audience=api%3A%2F%2FAzureADTokenExchange",
      headers: { authorization: "Bearer gh-bearer" },
    });
  });

  it("gets its OIDC token from Azure DevOps, by the service connection", async () => {
    await using issuer = await Issuer.start({ oidcToken: "devops-issued-token" });
    double.tokens.assertion = "devops-issued-token";
    const environment = {
      ARM_USE_OIDC: "true",
      SYSTEM_OIDCREQUESTURI: `${issuer.url}/oidctoken`,
      SYSTEM_ACCESSTOKEN: "devops-bearer",
      ARM_ADO_PIPELINE_SERVICE_CONNECTION_ID: "connection-1",
    };
    await expectToken(signIn(who(), environment));
    expect(issuer.seen[0]).toMatchObject({
      method: "POST",
      url: "/oidctoken?api-version=7.1&serviceConnectionId=connection-1",
      headers: { authorization: "Bearer devops-bearer" },
    });
  });

  it("says that the issuer gave no token, and shows none of what was sent", async () => {
    await using issuer = await Issuer.start({ error: "denied to gh-bearer-secret" });
    const settings = { ...who(), useOidc: "true", oidcRequestUrl: issuer.url, oidcRequestToken: "gh-bearer-secret" };
    const error = await signIn(settings).catch((reason) => reason);
    expect(error).toMatchObject({ code: "Unauthorized", hint: expect.stringContaining("id-token: write") });
    expect(inspect(error, { depth: 9 })).not.toContain("gh-bearer-secret");
  });

  it("works as a managed identity", async () => {
    const access_token = double.tokens.issue(controlAudience);
    const expires_on = String(Math.floor(Date.now() / 1000) + 3600);
    await using issuer = await Issuer.start({
      access_token,
      expires_on,
      token_type: "Bearer",
      resource: controlAudience,
    });
    vi.stubEnv("IDENTITY_ENDPOINT", issuer.url);
    vi.stubEnv("IDENTITY_HEADER", "identity-header");
    await expectToken(signIn({ useMsi: "true", clientId: double.tokens.clientId }));
    expect(issuer.seen[0]?.headers).toMatchObject({ "x-identity-header": "identity-header" });
    expect(issuer.seen[0]?.url).toContain(`client_id=${double.tokens.clientId}`);
  });

  it("works with the Azure CLI when nothing else is named", async () => {
    const accessToken = double.tokens.issue(controlAudience);
    const answer = { accessToken, expires_on: Math.floor(Date.now() / 1000) + 3600, tokenType: "Bearer" };
    const az = join(folder, "az");
    writeFileSync(az, `#!/bin/sh\necho "$@" >> "${folder}/az.log"\ncat <<'END'\n${JSON.stringify(answer)}\nEND\n`);
    chmodSync(az, 0o755);
    vi.stubEnv("PATH", [folder, process.env.PATH].join(delimiter));
    await expectToken(signIn({ subscriptionId: double.subscriptionId }));
    const asked = execFileSync("cat", [join(folder, "az.log")], { encoding: "utf8" });
    expect(asked).toContain(controlAudience);
    expect(asked).toContain(`--subscription ${double.subscriptionId}`);
  });

  it("says what to do when there is no Azure CLI", async () => {
    vi.stubEnv("PATH", "/nonexistent");
    await expect(signIn({})).rejects.toMatchObject({ code: "Unauthorized", hint: expect.stringContaining("az login") });
  });

  it("names the setting that is missing, and tries nothing else", async () => {
    await expect(signIn({ clientId: "c", clientSecret: "some-secret", useMsi: "true" })).rejects.toMatchObject({
      code: "Invalid",
      field: "tenantId",
    });
    expect(double.requests).toEqual([]);
  });

  it("tells Entra's reason without the secret that Entra repeats", async () => {
    const clientSecret = "wrong~secret-value/with+signs=";
    const error = await signIn({ ...who(), clientSecret }).catch((reason) => reason);
    expect(error).toMatchObject({ code: "Unauthorized", message: expect.stringContaining("AADSTS7000215") });
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("wrong~secret");
    expect(JSON.stringify(error) + String(error)).not.toContain("wrong~secret");
  });
});

describe("the clouds", () => {
  const china = ["https://management.chinacloudapi.cn", "https://login.chinacloudapi.cn"];
  const usGovernment = ["https://management.usgovcloudapi.net", "https://login.microsoftonline.us"];
  it.each([
    ["public", ["https://management.azure.com", "https://login.microsoftonline.com"]],
    ["usgovernment", usGovernment],
    ["AzureUSGovernment", usGovernment],
    ["china", china],
    ["AzureChinaCloud", china],
  ])("%s has its own addresses, and tokens for them", (environment, [endpoint, authorityHost]) => {
    const cloud = cloudOf({ environment });
    expect(cloud).toMatchObject({ endpoint, authorityHost, controlScope: `${endpoint}/.default` });
    const connection = azureConnection({
      settings: readAzureSettings(() => undefined, { ARM_ENVIRONMENT: environment, ARM_SUBSCRIPTION_ID: "s" }),
      resourceGroupName: "rg",
    });
    expect(connection).toMatchObject({ endpoint, azure: { controlScope: `${endpoint}/.default` } });
  });

  it("that is not known is refused with the ones that are", () => {
    expect(() => cloudOf({ environment: "moon" })).toThrow(expect.objectContaining({ field: "environment" }));
  });
});

/** Gives one JSON answer to everybody, over plain HTTP as the issuers on the machine itself do. */
class Issuer implements AsyncDisposable {
  readonly seen: IncomingMessage[] = [];
  readonly #server: Server;

  private constructor(answer: object) {
    this.#server = createServer((request, response) => {
      this.seen.push(request);
      request.resume();
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
    });
  }

  static async start(answer: object): Promise<Issuer> {
    const issuer = new Issuer(answer);
    await new Promise<void>((resolve) => issuer.#server.listen(0, "127.0.0.1", resolve));
    return issuer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
