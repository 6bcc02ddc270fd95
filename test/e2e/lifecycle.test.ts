import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { armPath, RunningHost } from "../host/fakes/runningHost";
import { PulumiProject } from "./pulumiProject";
import { secretValue, stackProgram } from "./stackProgram";

// One stack, whose tests build on one another.
describe("a stack's life, driven by the Pulumi command line", () => {
  const host = new RunningHost();
  let project: PulumiProject;

  beforeAll(async () => {
    await host.start();
    project = await PulumiProject.create(stackProgram(), {
      "sandboxes:endpoint": `unix:${host.socket}`,
      "sandboxes:subscriptionId": "s1",
    });
  });

  afterAll(async () => {
    await project?.[Symbol.asyncDispose]();
    await host.close();
  });

  /** The sandboxes of the stack's group, as the host tells them. */
  async function sandboxesOnHost(): Promise<{ id: string; labels: Record<string, string> }[]> {
    const name = (await project.ours()).lab?.outputs?.name;
    return (await host.call("GET", `/subscriptions/s1/resourceGroups/local/sandboxGroups/${name}/sandboxes`)).body;
  }

  const boxPath = async () => String((await project.ours()).box?.id);
  const groupsOnHost = async () => (await host.call("GET", armPath)).body.value as { tags: Record<string, string> }[];

  it("previews with everything unknown and creates nothing", async () => {
    expect(await project.plan()).toEqual({ create: 4 });
    expect(await groupsOnHost()).toEqual([]);
  });

  it("creates, and finds nothing to do the second time or after a refresh", async () => {
    await project.up();
    expect((await project.ours()).lab?.outputs?.name).toMatch(/^lab-[0-9a-f]{7}$/);
    expect(host.machines.vms.size).toBe(1);
    expect(await project.plan("--refresh", "--expect-no-changes")).toEqual({ same: 4 });
    await project.up("--expect-no-changes");
    expect(await project.drift()).toMatchObject({ exitCode: 0 });
    await project.ok("refresh", "--yes", "--expect-no-changes");
    expect(await project.plan()).toEqual({ same: 4 });
  });

  it("keeps secrets encrypted, before and after a refresh", async () => {
    const state = JSON.stringify(await project.state());
    expect(state).not.toContain(secretValue);
    const { box } = await project.ours();
    const ciphertext = expect.objectContaining({ ciphertext: expect.any(String) });
    expect(box?.inputs?.env).toEqual(ciphertext);
    expect(box?.outputs?.env).toEqual(ciphertext);
  });

  it("changes a label in place", async () => {
    const before = await boxPath();
    await project.write(stackProgram({ labels: { tier: "two" } }));
    expect(await project.plan()).toEqual({ same: 3, update: 1 });
    await project.up();
    expect(await boxPath()).toBe(before);
    expect(await sandboxesOnHost()).toMatchObject([{ labels: { tier: "two", "pulumi-key": expect.any(String) } }]);
    expect(await project.drift()).toMatchObject({ exitCode: 0 });
  });

  it("changes a group's tags in place and leaves what is in the group alone", async () => {
    await project.write(stackProgram({ labels: { tier: "two" }, tags: { team: "blue" } }));
    expect(await project.plan()).toEqual({ same: 3, update: 1 });
    await project.up();
    expect((await groupsOnHost())[0]?.tags).toMatchObject({ team: "blue", "pulumi-key": expect.any(String) });
  });

  it("replaces an image and the sandbox made from it", async () => {
    const before = await project.ours();
    await project.write(stackProgram({ image: "ubuntu" }));
    expect(await project.plan()).toEqual({ same: 1, update: 1, replace: 2 });
    await project.up();
    const after = await project.ours();
    expect(after.lab?.id).toBe(before.lab?.id);
    expect(after.python?.id).not.toBe(before.python?.id);
    expect(after.box?.id).not.toBe(before.box?.id);
    expect(await sandboxesOnHost()).toMatchObject([{ id: after.box?.outputs?.sandboxId }]);
  });

  it("names a property that somebody else changed, and puts it back", async () => {
    await host.call("PATCH", await boxPath(), { labels: { ...(await sandboxesOnHost())[0]?.labels, tier: "changed" } });
    const drift = await project.drift();
    expect(drift.exitCode).toBe(7);
    expect(drift.stdout).toMatch(/tier: +"one" => "changed"/);
    await project.up("--refresh");
    expect(await sandboxesOnHost()).toMatchObject([{ labels: { tier: "one" } }]);
    expect(await project.drift()).toMatchObject({ exitCode: 0 });
  });

  it("notices a sandbox deleted behind its back, and makes it again", async () => {
    const before = await boxPath();
    await host.call("DELETE", before);
    expect((await project.drift()).exitCode).toBe(7);
    expect(await project.plan("--refresh")).toEqual({ same: 3, create: 1 });
    await project.up("--refresh");
    expect(await boxPath()).not.toBe(before);
    expect(await sandboxesOnHost()).toHaveLength(1);
    expect(await project.drift()).toMatchObject({ exitCode: 0 });
  });

  it("makes a sandbox again whose machine was lost", async () => {
    const before = await boxPath();
    for (const machine of host.machines.vms.values()) machine.crash("the test pulled the plug");
    await expect.poll(async () => (await host.call("GET", before)).body.state).toBe("Failed");
    expect((await project.drift()).exitCode).toBe(7);
    await project.up("--refresh");
    expect(await boxPath()).not.toBe(before);
    expect(await sandboxesOnHost()).toMatchObject([{ state: "Running" }]);
  });

  it("fails a refresh while the host is away, and forgets nothing", async () => {
    const before = await project.ours();
    await host.disconnect();
    await host.server.stop();
    const refreshed = await project.run("refresh", "--yes");
    expect(refreshed.exitCode).not.toBe(0);
    expect(refreshed.stdout + refreshed.stderr).toContain("HostUnavailable");
    expect(await project.ours()).toEqual(before);
    await host.start();
    expect(await project.drift()).toMatchObject({ exitCode: 0 });
  });

  it("destroys all and leaves nothing on the host", async () => {
    await project.destroy();
    expect(await project.ours()).toEqual({});
    expect(await groupsOnHost()).toEqual([]);
    expect(host.machines.vms.size).toBe(0);
  });
});
