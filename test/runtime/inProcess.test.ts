import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connect, SandboxesError } from "../../provider/runtime";
import { newer, older, RunningHost } from "../host/fakes/runningHost";
import { runtimeScenarios } from "./scenarios";

for (const apiVersion of [older, newer] as const) {
  runtimeScenarios(`a host whose machines are folders, ${apiVersion}`, async () => {
    const host = await new RunningHost().start();
    const group = await connect({ endpoint: `unix:${host.socket}`, apiVersion });
    return { group, image: "ubuntu", close: () => group.close().then(() => host.close()) };
  });
}

describe("connect", () => {
  let host: RunningHost;
  beforeEach(async () => {
    host = await new RunningHost().start();
  });
  afterEach(() => host.close());

  it("makes the default group, once, and no other", async () => {
    const endpoint = `unix:${host.socket}`;
    const [first, second] = await Promise.all([connect({ endpoint }), connect({ endpoint })]);
    expect([first.name, second.name]).toEqual(["default", "default"]);
    expect(first.isolation).toBe("none");
    await expect(connect({ endpoint, group: "mine" })).rejects.toMatchObject({
      code: "GroupNotFound",
      message: 'The sandbox group "mine" does not exist',
    });
    expect((await connect({ endpoint, group: first.id })).name).toBe("default");
  });

  it("says what is wrong when nobody listens", async () => {
    const error = await connect({ endpoint: "unix:/nonexistent/host.sock" }).catch((reason) => reason);
    expect(error).toBeInstanceOf(SandboxesError);
    expect(error).toMatchObject({ code: "HostUnavailable" });
  });
});

describe("the image of a sandbox", () => {
  let host: RunningHost;
  beforeEach(async () => {
    host = await new RunningHost().start();
  });
  afterEach(() => host.close());

  it("given as a reference is imported once, also by callers at the same time", async () => {
    const group = await connect({ endpoint: `unix:${host.socket}` });
    const image = "docker.io/library/alpine:3.20";
    await Promise.all([group.createSandbox({ image }), group.createSandbox({ image })]);
    await group.createSandbox({ image });
    const again = await connect({ endpoint: `unix:${host.socket}` });
    await again.createSandbox({ image });
    expect(host.shelf.imports.map((each) => each.reference)).toEqual([image]);
  });

  it("given as a public name is not imported as a disk image", async () => {
    const group = await connect({ endpoint: `unix:${host.socket}` });
    await group.createSandbox({ image: "python" });
    const api = await host.call("GET", `${group.id.replace("/providers/Microsoft.App", "")}/diskimages`);
    expect(api.body).toEqual([]);
  });

  it("that does not exist is an error which names it", async () => {
    const group = await connect({ endpoint: `unix:${host.socket}` });
    await expect(group.createSandbox({ image: "missing:1" })).rejects.toMatchObject({
      code: "ImageNotFound",
      message: expect.stringContaining("missing:1"),
    });
    const image = "11111111-2222-3333-4444-555555555555";
    await expect(group.createSandbox({ image })).rejects.toMatchObject({ code: "ImageNotFound" });
  });

  it.each([
    [{ preset: "Claude" } as const, "presetSandboxType"],
    [{ pod: { containers: [{ name: "web" }] } }, "sourcesRef.pod"],
    [{ artifactVersion: { id: "a", auth: { identity: "system" } } }, "sourcesRef.artifactVersion"],
  ])("cannot be what only Azure has, which is told by name: %o", async (source, field) => {
    const group = await connect({ endpoint: `unix:${host.socket}` });
    await expect(group.createSandbox(source)).rejects.toMatchObject({ code: "Unsupported", field });
  });
});
