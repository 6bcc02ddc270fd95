import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { armPath, groupPath, newer, RunningHost } from "../fakes/runningHost";

const snapshots = `${groupPath}/snapshots`;
const sandboxes = `${groupPath}/sandboxes`;
const images = `${groupPath}/diskimages`;
const missing = "00000000-0000-4000-8000-000000000000";

let host: RunningHost;
beforeEach(async () => {
  host = await (await new RunningHost().start()).withGroup();
});
afterEach(() => host.close());

const call: RunningHost["call"] = (...all) => host.call(...all);
const snapshotOf = async (id: string, labels = {}) =>
  (await call("POST", `${sandboxes}/${id}/snapshot`, { labels })).body;
const copyOf = (snapshotId: string, body: object = {}) =>
  call("PUT", sandboxes, { sourcesRef: { snapshot: { id: snapshotId } }, ...body });
const kept = () => readdirSync(join(host.dataDir, "snapshots"));

describe("snapshots", () => {
  test("are made of a sandbox that runs on, and can be listed, counted, read and deleted", async () => {
    const id = await host.sandbox();
    const first = await call("POST", `${sandboxes}/${id}/snapshot`);
    expect(first.status).toBe(200);
    expect(first.body).toMatchObject({ sandboxId: id, labels: {}, sizeInMB: 39 });
    expect(first.body.createdAtUtc).toMatch(/Z$/);
    expect(first.body.resources).toEqual({ cpu: "1000m", memory: "512Mi", disk: "10240Mi" });
    const second = await snapshotOf(id, { name: "two", team: "red" });
    expect((await call("GET", `${sandboxes}/${id}`)).body.state).toBe("Running");
    expect((await call("GET", snapshots)).body).toEqual([first.body, second]);
    expect((await call("GET", `${snapshots}?labels=team=red,name=two`)).body).toEqual([second]);
    expect((await call("GET", `${snapshots}/count`)).text).toBe("2");
    expect((await call("GET", snapshots, undefined, { version: newer })).body.value).toHaveLength(2);
    expect((await call("GET", `${snapshots}/${first.body.id}`)).body).toEqual(first.body);
    expect(kept().sort()).toEqual([first.body.id, second.id].sort());
    expect((await call("DELETE", `${snapshots}/${first.body.id}`)).status).toBe(204);
    expect((await call("DELETE", `${snapshots}/${first.body.id}`)).status).toBe(204);
    expect((await call("GET", `${snapshots}/${first.body.id}`)).status).toBe(404);
    expect(kept()).toEqual([second.id]);
  });

  test("outlive their sandbox and make others, each with a name of its own", async () => {
    const environment = { SECRET: "s3cret" };
    const id = await host.sandbox({ environment, entrypoint: ["sleep", "1000"] });
    await call("PUT", `${sandboxes}/${id}/files?path=/tmp/kept`, undefined, { raw: "kept" });
    const { id: snapshotId } = await snapshotOf(id);
    await call("DELETE", `${sandboxes}/${id}`);

    const copies = await Promise.all([1, 2].map((number) => copyOf(snapshotId, { labels: { number: `${number}` } })));
    for (const { status, body } of copies) {
      expect([status, body.state]).toEqual([200, "Running"]);
      expect(body).toMatchObject({ sourcesRef: { snapshot: { id: snapshotId } }, entrypoint: ["sleep", "1000"] });
      expect(body.lifecycle.autoSuspendPolicy.enabled).toBe(false);
      expect(JSON.stringify(body)).not.toContain("s3cret");
      expect((await call("GET", `${sandboxes}/${body.id}/files?path=/tmp/kept`)).text).toBe("kept");
      const printed = await call("POST", `${sandboxes}/${body.id}/executeShellCommand`, { command: "echo $SECRET" });
      expect(printed.body.stdout).toBe("s3cret\n");
      const { agent, identities } = host.machines.vms.get(body.id)!;
      // Its program came along in memory.
      expect(agent.requests.map(({ argv }) => argv[0])).toEqual(["/bin/sh"]);
      expect(identities.map(({ machineId }) => machineId)).toEqual([body.id.replaceAll("-", "")]);
    }
    await call("DELETE", `${snapshots}/${snapshotId}`);
    const again = await call("POST", `${sandboxes}/${copies[0]!.body.id}/snapshot`);
    expect(again.body.sandboxId).toBe(copies[0]!.body.id);
  });

  test("give size, program and environment, and say so when others are asked for", async () => {
    const { id: snapshotId } = await snapshotOf(await host.sandbox());
    expect((await copyOf(snapshotId, { resources: { cpu: "1", memory: "512Mi" } })).status).toBe(200);
    for (const [body, field] of [
      [{ resources: { cpu: "1000m", memory: "2048Mi" } }, "resources.memory"],
      [{ environment: { A: "b" } }, "environment"],
      [{ cmd: ["true"] }, "cmd"],
    ] as const) {
      const reply = await copyOf(snapshotId, body);
      expect([reply.status, Object.keys(reply.body.errors)]).toEqual([400, [field]]);
    }
    const both = { sourcesRef: { snapshot: { id: snapshotId }, diskImage: { name: "ubuntu", isPublic: true } } };
    expect((await call("PUT", sandboxes, both)).status).toBe(400);
    const unknown = await copyOf(missing);
    expect([unknown.status, unknown.body.error.code]).toEqual([400, "SnapshotNotFound"]);
    expect(unknown.body.errors).toHaveProperty(["sourcesRef.snapshot"]);
  });

  test("make sandboxes that may use as much of the processors as theirs", async () => {
    const driver = host.machines.driver();
    const given: (number | undefined)[] = [];
    const restore: typeof driver.restore = (directory, options) => {
      given.push(options.cpuMillis);
      return driver.restore(directory, options);
    };
    await host.disconnect();
    await host.server.stop();
    await host.start({ driver: { ...driver, restore } });
    const { id } = await snapshotOf(await host.sandbox({ resources: { cpu: "500m", memory: "512Mi" } }));
    expect((await copyOf(id)).body.resources.cpu).toBe("500m");
    expect(given).toEqual([500]);
  });

  test("need a running sandbox", async () => {
    const id = await host.sandbox();
    await call("POST", `${sandboxes}/${id}/stop`);
    for (const what of ["snapshot", "commit"]) {
      const reply = await call("POST", `${sandboxes}/${id}/${what}`, {});
      expect([reply.status, reply.body.error.code]).toEqual([409, "SandboxNotRunning"]);
      expect((await call("POST", `${sandboxes}/${missing}/${what}`, {})).status).toBe(404);
    }
    expect((await call("GET", `${snapshots}/nonsense`)).body.errors).toHaveProperty("id");
  });

  test("that fail leave nothing, and the sandbox goes on", async () => {
    const id = await host.sandbox();
    host.machines.beforeSave = () => Promise.reject(new Error("no room"));
    expect((await call("POST", `${sandboxes}/${id}/snapshot`)).status).toBe(502);
    expect((await call("GET", snapshots)).body).toEqual([]);
    expect((await call("GET", `${sandboxes}/${id}`)).body.state).toBe("Running");
  });

  test("are made once for a repeated request id", async () => {
    const path = `${sandboxes}/${await host.sandbox()}/snapshot`;
    const headers = { "x-ms-client-request-id": "9a9a" };
    const replies = await Promise.all([1, 2].map(() => call("POST", path, {}, { headers })));
    expect(replies[0]!.body).toEqual(replies[1]!.body);
    expect((await call("GET", `${snapshots}/count`)).text).toBe("1");
  });

  test("go with their group, and what a crash left goes at the next start", async () => {
    const { id } = await snapshotOf(await host.sandbox());
    mkdirSync(join(host.dataDir, "snapshots", `${missing}.new`));
    mkdirSync(join(host.dataDir, "commits"), { recursive: true });
    writeFileSync(join(host.dataDir, "commits", "half.tar"), "half");
    await host.restart();
    expect(kept()).toEqual([id]);
    expect(readdirSync(join(host.dataDir, "commits"))).toEqual([]);
    await call("DELETE", `${armPath}/g1`);
    expect(kept()).toEqual([]);
  });
});

describe("commits", () => {
  test("make a disk image of the files that starts as the sandbox's own image does", async () => {
    host.shelf.config = { ...host.shelf.config, env: { ...host.shelf.config.env, FROM: "the image" } };
    const id = await host.sandbox({ environment: { SECRET: "s3cret" } });
    await call("PUT", `${sandboxes}/${id}/files?path=/tmp/kept`, undefined, { raw: "kept" });
    let archive = "";
    host.shelf.beforeImport = async (reference) => {
      archive = readFileSync(reference.replace("rootfs:", ""), "latin1");
    };
    const reply = await call("POST", `${sandboxes}/${id}/commit`, { labels: { name: "mine" } });
    expect(reply.status).toBe(200);
    expect(reply.body.diskImage).toMatchObject({
      labels: { name: "mine" },
      image: { base: "ubuntu" },
      status: { state: "Ready", errorMessage: "" },
    });
    expect(archive).toContain("tmp/kept");
    expect(readdirSync(join(host.dataDir, "commits"))).toEqual([]);
    expect((await call("GET", images)).body).toEqual([reply.body.diskImage]);

    host.shelf.config = { ...host.shelf.config, env: {} };
    await call("DELETE", `${sandboxes}/${id}`);
    const source = { sourcesRef: { diskImage: { id: reply.body.diskImage.id } } };
    const { body } = await call("PUT", sandboxes, source);
    const command = { command: "echo $FROM $SECRET" };
    const printed = await call("POST", `${sandboxes}/${body.id}/executeShellCommand`, command);
    expect(printed.body.stdout).toBe("the image\n");
    // And of that sandbox again.
    const second = await call("POST", `${sandboxes}/${body.id}/commit`, {});
    expect(second.body.diskImage).toMatchObject({ image: { base: "ubuntu" }, status: { state: "Ready" } });
  });

  test("that cannot be built say why without the host's paths", async () => {
    const id = await host.sandbox();
    let path = "";
    host.shelf.beforeImport = (reference) => {
      path = reference.replace("rootfs:", "");
      return Promise.reject(new Error(`${path} is no good`));
    };
    const { body } = await call("POST", `${sandboxes}/${id}/commit`, {});
    expect(body.diskImage.status.state).toBe("Failed");
    expect(JSON.stringify(body)).not.toContain(host.dataDir);
    expect(existsSync(path)).toBe(false);
  });

  test("go on being built when the host has ended meanwhile, in whatever way", async () => {
    const id = await host.sandbox();
    host.shelf.beforeImport = () => new Promise(() => {});
    const { body } = await call("POST", `${sandboxes}/${id}/commit`, {});
    expect(body.diskImage.status.state).toBe("Building");
    const files = join(host.dataDir, "commits");
    writeFileSync(join(files, `${missing}.tar`), "of a commit that was not answered");
    await host.restart();
    expect(readdirSync(files)).toEqual([`${body.diskImage.id}.tar`]);
    let archive = "";
    host.shelf.beforeImport = async (reference) => {
      archive = readFileSync(reference.replace("rootfs:", ""), "latin1");
    };
    await host.restart();
    const image = async () => (await call("GET", `${images}/${body.diskImage.id}`)).body;
    await expect.poll(image).toMatchObject({ status: { state: "Ready" }, image: { base: "ubuntu" } });
    expect(archive).toContain("tmp/");
    await expect.poll(() => readdirSync(files)).toEqual([]);
  });
});
