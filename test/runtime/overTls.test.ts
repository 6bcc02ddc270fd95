import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SandboxApi } from "../../provider/client/sandboxApi";
import { createHostServer } from "../../provider/host/server";
import { openDatabase } from "../../provider/host/store/database";
import { type ConnectOptions, connect } from "../../provider/runtime";
import { Machines } from "../host/fakes/machines";
import { Shelf } from "../host/fakes/shelf";
import { runtimeScenarios } from "./scenarios";

const token = "a-token-of-many-characters";

/** A host on a port of this machine, with a certificate of its own making. */
async function tlsHost(): Promise<{
  options: Required<Pick<ConnectOptions, "endpoint" | "ca">>;
  close: () => Promise<void>;
}> {
  const dataDir = mkdtempSync(join(tmpdir(), "sandboxes-"));
  const machines = new Machines();
  const server = createHostServer({
    ...{ dataDir, database: openDatabase(dataDir), listen: "127.0.0.1:0", tls: "self-signed", token },
    ...{ region: "local", version: "0.0.0-test", driver: machines.driver(), images: new Shelf(), log: false },
  });
  const { endpoint, caFile = "" } = await server.start();
  const close = async () => {
    await server.stop();
    machines.close();
    rmSync(dataDir, { recursive: true });
  };
  return { options: { endpoint, ca: await readFile(caFile, "utf8") }, close };
}

runtimeScenarios("a host over TLS", async () => {
  const host = await tlsHost();
  const group = await connect({ ...host.options, token });
  return { group, image: "ubuntu", close: () => group.close().then(host.close) };
});

describe("a host over TLS", () => {
  let host: Awaited<ReturnType<typeof tlsHost>>;
  beforeAll(async () => {
    host = await tlsHost();
  });
  afterAll(() => host.close());

  it.each([undefined, "another-token-of-many-characters"])("refuses the token %s without showing it", async (wrong) => {
    const error = await connect({ ...host.options, token: wrong }).catch((reason) => reason);
    expect(error).toMatchObject({
      code: "Unauthorized",
      status: 401,
      hint: expect.stringContaining("SANDBOXES_TOKEN"),
    });
    expect(JSON.stringify([error, error.message, String(error)])).not.toContain("many-characters");
  });

  it("is not spoken to unless its certificate is trusted", async () => {
    const { endpoint } = host.options;
    await expect(connect({ endpoint, token })).rejects.toMatchObject({
      code: "HostUnavailable",
      message: expect.stringContaining("not trusted"),
      hint: expect.stringContaining("SANDBOXES_CA_FILE"),
    });
  });

  it("refuses a stream to strangers as it refuses a call", async () => {
    const group = await connect({ ...host.options, token });
    const sandbox = await group.createSandbox({ image: "ubuntu" });
    const stranger = new SandboxApi({ ...host.options, subscriptionId: "s", resourceGroupName: "r" });
    const opened = stranger.group("default").sandboxes.stream(sandbox.id, { command: ["true"] });
    await expect(opened).rejects.toMatchObject({ code: "Unauthorized" });
    await Promise.all([group.close(), stranger.close()]);
  });
});
