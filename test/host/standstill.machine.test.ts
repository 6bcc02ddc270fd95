import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createQemuDriver } from "../../provider/host/vm/qemu";
import { connect, type Group, type Sandbox } from "../../provider/runtime";
import { BusyboxShelf } from "./fakes/busyboxShelf";
import { hastyLimits } from "./fakes/hastyLimits";
import { RunningHost } from "./fakes/runningHost";
import { busyboxRootfs } from "./vm/busyboxRootfs";
import { processesOf } from "./vm/driverContract";

/** What callers hear, and what becomes of a sandbox, whose QEMU is there and does nothing any more. */
describe("a sandbox whose machine stands still", () => {
  const host = new RunningHost();
  let group: Group;
  let sandbox: Sandbox;
  let patience = () => {};

  const start = async () => {
    const driver = await createQemuDriver({ dataDirectory: host.dataDir });
    await host.start({ driver, images: new BusyboxShelf(await busyboxRootfs()) });
  };
  const path = () => `${group.id.replace("/providers/Microsoft.App", "")}/sandboxes/${sandbox.id}`;
  const directory = () => join(host.dataDir, "vms", sandbox.id);

  const beHasty = () => {
    patience();
    patience = hastyLimits();
  };

  /** Stops QEMU as a debugger or a host out of breath would; false if there is none. */
  const standStill = (): boolean => {
    try {
      const { process: identity } = JSON.parse(readFileSync(join(directory(), "vm.json"), "utf8"));
      process.kill(identity.pid, "SIGSTOP");
    } catch {
      return false; // not there yet, or not any more
    }
    beHasty();
    return true;
  };
  const failure = async (): Promise<string> => {
    await expect.poll(async () => (await sandbox.refresh()).state, { timeout: 30_000 }).toBe("Failed");
    return JSON.stringify((await host.call("GET", path())).body);
  };
  const refused = (call: Promise<unknown>, code = /GuestFailed|NotRunning|Timeout/) =>
    expect(call).rejects.toMatchObject({ name: "SandboxesError", code: expect.stringMatching(code) });

  beforeAll(async () => {
    await start();
    group = await connect({ endpoint: `unix:${host.socket}` });
  });
  afterAll(async () => {
    await group.close();
    await host.server.stop({ stopSandboxes: true });
    expect(processesOf(host.dataDir)).toEqual([]);
    await host.close();
  });
  beforeEach(async () => {
    sandbox = await group.createSandbox({ image: "ubuntu" });
  });
  afterEach(async () => {
    await sandbox.delete();
    patience();
    patience = () => {};
    expect(readdirSync(join(host.dataDir, "vms"))).toEqual([]);
    expect(processesOf(host.dataDir).filter((line) => line.includes("qemu"))).toEqual([]);
  });

  it("answers a program and a file call with an error, and is deleted", async () => {
    standStill();
    await Promise.all([
      refused(sandbox.exec("true")),
      refused(sandbox.files.read("/etc/hostname")),
      refused(sandbox.files.write("/tmp/x", "x")),
    ]);
  });

  it("has failed with the reason once it could not be stopped", async () => {
    standStill();
    await refused(sandbox.stop());
    expect(await failure()).toContain("did not answer");
    await refused(sandbox.exec("true"), /NotRunning/);
  });

  it("has failed once it could not be copied, and no file of the copy is left", async () => {
    standStill();
    await refused(sandbox.snapshot());
    expect(await failure()).toContain("did not answer");
    const snapshots = join(host.dataDir, "snapshots");
    expect(existsSync(snapshots) ? readdirSync(snapshots) : []).toEqual([]);
  });

  it("is deleted at once", async () => {
    standStill();
    await sandbox.delete();
    expect(existsSync(directory())).toBe(false);
  });

  /** Begins a stop and has the machine stand still amidst it; the first time that this comes in time. */
  async function stopThatHangs(): Promise<{ stopping: Promise<unknown> }> {
    for (;;) {
      beHasty();
      const stopping = sandbox.stop();
      let isOver = false;
      const ended = stopping.finally(() => {
        isOver = true;
      });
      ended.catch(() => {});
      const ram = join(directory(), "saved.new", "ram");
      while (!isOver && !statSync(ram, { throwIfNoEntry: false })?.blocks) await delay(0);
      if (!isOver && standStill()) {
        await delay(100); // what it has sent is taken
        if (existsSync(ram)) return { stopping };
      }
      await ended;
      await sandbox.resume();
    }
  }

  it("amidst a stop has failed with the reason, and leaves nothing", async () => {
    await refused((await stopThatHangs()).stopping);
    expect(await failure()).toMatch(/did not answer|stood still/);
  });

  it("amidst a stop is deleted, and the stop is told", async () => {
    const { stopping } = await stopThatHangs();
    await Promise.all([refused(stopping), sandbox.delete()]);
  });

  it("amidst a resume stays stopped, and goes on the next time", async () => {
    await sandbox.exec("echo kept > /tmp/kept", { check: true });
    await sandbox.stop();
    const resuming = sandbox.resume();
    while (!standStill()) await delay(0);
    await refused(resuming, /./);
    patience();
    expect((await sandbox.refresh()).state).toBe("Stopped");
    await sandbox.resume();
    expect((await sandbox.exec("cat /tmp/kept")).stdout).toBe("kept\n");
  });

  it("when the host starts has failed with the reason, and others go on", async () => {
    const other = await group.createSandbox({ image: "ubuntu" });
    standStill();
    await host.disconnect();
    await host.server.stop();
    await start();
    expect((await other.exec("echo here")).stdout).toBe("here\n");
    expect(await failure()).toContain("did not answer");
    await other.delete();
  });
});
