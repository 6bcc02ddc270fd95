import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SandboxesError } from "../../../provider/client/errors";
import { groupPath, newer, RunningHost } from "../fakes/runningHost";

const collection = `${groupPath}/diskimages`;

describe("disk images", () => {
  let host: RunningHost;
  beforeEach(async () => {
    host = await (await new RunningHost().start()).withGroup();
  });
  afterEach(() => host.close());

  test("an import that takes long is Building, then Ready", async () => {
    let goOn = () => {};
    host.shelf.beforeImport = () =>
      new Promise((resolve) => {
        goOn = resolve;
      });
    const created = await host.call("PUT", collection, { image: { base: "python:3.12" }, labels: { name: "mine" } });
    expect(created.body.status.state).toBe("Building");
    // A sandbox of an image that is still built waits for it.
    const creating = host.sandbox({ sourcesRef: { diskImage: { id: created.body.id } } });
    goOn();
    await creating;
    const read = await host.call("GET", `${collection}/${created.body.id}`);
    expect(read.body).toMatchObject({ labels: { name: "mine" }, status: { state: "Ready" }, sizeInMB: 5 });
    expect(read.body.image).toMatchObject({ base: "python:3.12", digest: expect.stringMatching(/^sha256:/) });
  });

  test("a ready image tells what it says of its process, also after a restart", async () => {
    const config = {
      ...{ env: { PATH: "/bin", A: "b=c" }, entrypoint: ["/init"], cmd: ["run"], user: "app:staff" },
      ...{ stopSignal: "SIGINT", labels: { a: "b" }, exposedPorts: [443] },
    };
    host.shelf.config = { ...config, workingDir: "/app" };
    const { id } = (await host.call("PUT", collection, { image: { base: "a" } })).body;
    await host.restart();
    const { image } = (await host.call("GET", `${collection}/${id}`)).body;
    expect(image.config).toEqual({ ...config, workingDirectory: "/app" });
    const sandbox = await host.sandbox({ sourcesRef: { diskImage: { id } }, entrypoint: ["sleep", "60"] });
    const requests = host.machines.vms.get(sandbox)?.agent.requests;
    expect(requests?.[0]).toMatchObject({
      ...{ argv: ["sleep", "60"], cwd: "/app", user: "app:staff" },
      env: expect.objectContaining(config.env),
    });
  });

  test("a failed import says why in both fields, and no sandbox can be made of it", async () => {
    const created = await host.call("PUT", collection, { image: { base: "missing:1" } });
    expect(created.status).toBe(200);
    expect(created.body.status).toMatchObject({
      state: "Failed",
      errorCode: "ImageNotFound",
      message: 'No image "missing:1"',
      errorMessage: 'No image "missing:1"',
    });
    const sandbox = await host.call("PUT", `${groupPath}/sandboxes`, {
      sourcesRef: { diskImage: { id: created.body.id } },
    });
    expect(sandbox.status).toBe(409);
    expect(sandbox.body.error.message).toContain("missing:1");
  });

  test("images are listed by label and deleted; deleting again is fine", async () => {
    const one = await host.call("PUT", collection, { image: { base: "a" }, labels: { k: "1" } });
    await host.call("PUT", collection, { image: { base: "b" }, labels: { k: "2" } });
    expect((await host.call("GET", `${collection}?labels=k=1`)).body).toMatchObject([{ id: one.body.id }]);
    const page = await host.call("GET", collection, undefined, { version: newer });
    expect(page.body.value).toHaveLength(2);
    expect((await host.call("DELETE", `${collection}/${one.body.id}`)).status).toBe(204);
    expect((await host.call("DELETE", `${collection}/${one.body.id}`)).status).toBe(204);
    expect((await host.call("GET", `${collection}/${one.body.id}`)).status).toBe(404);
    expect((await host.call("GET", `${collection}/x`)).status).toBe(400);
  });

  test("credentials reach the import, and are neither answered, logged nor kept", async () => {
    const registryCredentials = { username: "me", token: "hunter2" };
    const created = await host.call("PUT", collection, { image: { base: "private" }, registryCredentials });
    expect(host.shelf.imports.at(-1)!.options?.credentials).toEqual({ username: "me", password: "hunter2" });
    expect(created.text).not.toContain("hunter2");
    expect(host.log.join("")).not.toContain("hunter2");
    await host.restart();
    expect((await host.call("GET", `${collection}/${created.body.id}`)).body.status.state).toBe("Ready");
  });

  test("an import goes on after a restart", async () => {
    host.shelf.beforeImport = () => new Promise(() => {});
    const registryCredentials = { username: "me", token: "t" };
    const created = await host.call("PUT", collection, { image: { base: "slow" }, registryCredentials });
    host.shelf.beforeImport = undefined;
    await host.restart();
    const state = async () => (await host.call("GET", `${collection}/${created.body.id}`)).body.status.state;
    while ((await state()) !== "Ready") await sleep(10);
    expect(host.shelf.imports.at(-1)!.options?.credentials?.password).toBe("t");
  });

  test("the catalogue is the list of public images", async () => {
    const list = await host.call("GET", `${collection}/public`);
    expect(list.body[0]).toMatchObject({ name: "ubuntu", status: { state: "Ready" } });
    expect((await host.call("GET", `${collection}/public/python`)).body.description).toBe("Python");
    expect((await host.call("GET", `${collection}/public/none`)).status).toBe(404);
  });

  test("a public image is imported once, and imported again when its files are gone", async () => {
    await host.sandbox();
    await host.sandbox();
    expect(host.shelf.imports).toHaveLength(1);
    host.shelf.images.clear();
    await host.sandbox();
    expect(host.shelf.imports).toHaveLength(2);
  });

  test("a public image that cannot be imported is the caller's error, and no sandbox stays", async () => {
    host.shelf.beforeImport = () => Promise.reject(new SandboxesError("RegistryFailed", "the registry is away"));
    const sourcesRef = { diskImage: { name: "ubuntu", isPublic: true } };
    const reply = await host.call("PUT", `${groupPath}/sandboxes`, { sourcesRef });
    expect([reply.status, reply.body.error.code]).toEqual([424, "RegistryFailed"]);
    expect((await host.call("GET", `${groupPath}/sandboxes`)).body).toEqual([]);
  });

  test("a warm-up of the image reaches its templates; else its default interpreter is warmed", async () => {
    host.shelf.config = { ...host.shelf.config, cmd: ["python3"] };
    const own = await host.call("PUT", collection, { image: { base: "x" }, warmUp: ["python3", "-c", "import json"] });
    await host.sandbox({ sourcesRef: { diskImage: { id: own.body.id } } });
    await host.sandbox();
    expect(host.machines.templates.map((each) => each.warmUp)).toEqual([
      [["python3", "-c", "import json"]],
      [["python3", "-c", ""]],
    ]);
  });
});
