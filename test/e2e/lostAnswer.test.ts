import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RunningHost } from "../host/fakes/runningHost";
import { PulumiProject } from "./pulumiProject";
import { stackProgram } from "./stackProgram";

/** Stands between provider and host; hangs up when the answer to a request that matches comes, and refuses all after. */
class Eavesdropper {
  readonly path: string;
  #swallow: RegExp | undefined;
  #server: Server | undefined;
  readonly #sockets = new Set<Socket>();
  readonly #upstream: string;

  constructor(path: string, upstream: string) {
    this.path = path;
    this.#upstream = upstream;
  }

  async open(swallow?: RegExp): Promise<void> {
    this.#swallow = swallow;
    this.#server = createServer((client) => this.#forward(client));
    await new Promise<void>((done) => this.#server!.listen(this.path, done));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((done) => (this.#server ? this.#server.close(done) : done(undefined)));
    this.#server = undefined;
  }

  #forward(client: Socket): void {
    const host = connect(this.#upstream);
    let caught = false;
    for (const socket of [client, host]) {
      this.#sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.once("close", () => {
        this.#sockets.delete(socket);
        client.destroy();
        host.destroy();
      });
    }
    client.on("data", (bytes) => {
      caught ||= this.#swallow?.test(bytes.toString("latin1")) ?? false;
      host.write(bytes);
    });
    host.on("data", (bytes) => {
      if (caught) void this.close();
      else client.write(bytes);
    });
  }
}

describe("an answer that is lost", () => {
  const host = new RunningHost();
  let line: Eavesdropper;
  let project: PulumiProject;

  beforeAll(async () => {
    await host.start();
    line = new Eavesdropper(join(host.dataDir, "line.sock"), host.socket);
    project = await PulumiProject.create(stackProgram(), { "sandboxes:endpoint": `unix:${line.path}` });
  });

  afterAll(async () => {
    await project?.[Symbol.asyncDispose]();
    await line?.close();
    await host.close();
  });

  it.each([
    ["group", /^PUT [^ ]*\/Microsoft\.App\/sandboxGroups\//m],
    ["disk image", /^PUT [^ ]*\/diskimages\?/m],
    ["sandbox", /^PUT [^ ]*\/sandboxes\?/m],
  ])("does not make a second %s", async (_kind, request) => {
    await line.open(request);
    const failed = await project.run("up", "--yes", "--skip-preview");
    expect(failed.exitCode).not.toBe(0);
    expect(failed.stdout).toContain("HostUnavailable");
    await line.open();
    await project.up();
    const status = (await host.call("GET", "/status")).body;
    expect(status.counts).toMatchObject({ groups: 1, diskImages: 1, sandboxes: 1 });
    expect(await project.plan("--refresh")).toEqual({ same: 4 });
    await project.destroy();
    expect((await host.call("GET", "/status")).body.counts).toMatchObject({ groups: 0, diskImages: 0, sandboxes: 0 });
    await line.close();
  });
});
