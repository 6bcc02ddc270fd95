import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startRegistry, type TestRegistry } from "../host/images/testRegistry";
import { pushBusybox } from "./pushBusybox";
import { pythonWithSdks } from "./pythonSdk";

const root = join(__dirname, "../..");
const page = readFileSync(join(root, "docs/azureSdks.md"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "page-"));
const data = join(folder, "host");
let registry: TestRegistry;
let host: ChildProcess;
let blocks: { serve: string; environment: string; identity: string; call: string };

beforeAll(async () => {
  registry = await startRegistry();
  const image = `${registry.host}/tools:1.0`;
  await pushBusybox(image);
  mkdirSync(data);
  writeFileSync(join(data, "catalogue.json"), JSON.stringify({ ubuntu: image }));
  // What `npx sandboxes` is where the package is installed.
  mkdirSync(join(folder, "bin"));
  writeFileSync(join(folder, "bin", "npx"), `#!/bin/sh\nshift\nexec node ${join(root, "dist/cli/main.js")} "$@"\n`);
  chmodSync(join(folder, "bin", "npx"), 0o755);
  blocks = await shellBlocks();
  host = run(blocks.serve);
  // Read all the while: a full pipe would hold it up.
  let said = "";
  host.stderr!.setEncoding("utf8").on("data", (text) => {
    said += text;
  });
  const lines = createInterface(host.stdout!);
  const ready = await new Promise<string>((resolve, reject) => {
    lines.once("line", resolve);
    lines.once("close", () => reject(new Error(`the host did not start: ${said}`)));
  });
  expect(JSON.parse(ready)).toMatchObject({ ready: true, caFile: join(data, "tls/ca.pem") });
});

afterAll(async () => {
  host?.kill();
  if (host && host.exitCode === null) await once(host, "exit");
  await registry.close();
  rmSync(folder, { recursive: true });
});

/** The page's, at ports that are free here. */
async function shellBlocks(): Promise<typeof blocks> {
  const ports: Record<string, string> = { 8443: await freePort(), 8444: await freePort() };
  const found = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = ""]) =>
    block.replace(/\b844[34]\b/g, (port) => ports[port]!),
  );
  const [serve = "", environment = "", identity = "", call = "", ...more] = found;
  expect(more).toEqual([]);
  return { serve: serve.replace("npx", "exec npx"), environment, identity, call };
}

/** Of those that no system gives to whoever asks for any: nobody else takes it before the host does. */
async function freePort(): Promise<string> {
  for (;;) {
    const port = randomInt(15_000, 30_000);
    const server = createServer();
    const isFree = new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
    if (await isFree) return String(port);
  }
}

/** Only what the page sets is set. */
function run(script: string): ChildProcess {
  const path = [join(folder, "bin"), dirname(pythonWithSdks()), dirname(process.execPath), process.env.PATH].join(":");
  const { HOME, TMPDIR, XDG_CACHE_HOME } = process.env;
  return spawn("bash", ["-euo", "pipefail", "-c", script], {
    cwd: folder,
    env: { PATH: path, HOME, TMPDIR, XDG_CACHE_HOME },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** What a script prints that ends well. */
async function printed(...scripts: string[]): Promise<string> {
  const child = run(scripts.join("\n"));
  const [stdout, stderr] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, "close")]);
  expect(`${stderr}${child.exitCode}`).toMatch(/0$/);
  return stdout;
}

const python = `python ${join(root, "examples/azure-sdks/life.py")}`;
const node = `node --disable-warning=MODULE_TYPELESS_PACKAGE_JSON ${join(root, "examples/azure-sdks/groups.mts")}`;
const groupId =
  "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local/providers/Microsoft.App/sandboxGroups";

describe("drives a host as the page says", () => {
  it.each(["token", "identity endpoint"])("with Azure's SDKs, by its %s", async (kind) => {
    const signIn = kind === "token" ? "" : `${blocks.identity}\nunset SANDBOXES_TOKEN`;
    expect(await printed(blocks.environment, signIn, python)).toBe("42\n['1', '2', '39']\n");
    expect(await printed(blocks.environment, signIn, node)).toBe(`${groupId}/sdk Succeeded\n`);
  });

  it("without an SDK", async () => {
    expect(JSON.parse(await printed(blocks.environment, blocks.call))).toMatchObject({ id: `${groupId}/curl` });
  });

  it("under Azure's own name", async () => {
    const call = blocks.call.replaceAll("$SANDBOXES_ENDPOINT", "https://management.azure.com");
    const led = `curl() { command curl --connect-to "management.azure.com:443:\${SANDBOXES_ENDPOINT#https://}" "$@"; }`;
    const group = JSON.parse(await printed(blocks.environment, led, call));
    expect(group.properties.managementEndpoint).toBe("https://management.azure.com");
  });
});
