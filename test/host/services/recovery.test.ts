import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { newSandbox } from "../../../provider/host/services/newSandbox";
import { openDatabase } from "../../../provider/host/store/database";
import { type SandboxRecord, SandboxStore } from "../../../provider/host/store/sandboxStore";
import type { VmDriver } from "../../../provider/host/vm/driver";
import { FolderVm } from "../fakes/machines";
import { armPath, groupPath, RunningHost } from "../fakes/runningHost";

describe("a host that finds what a killed one left", () => {
  let host: RunningHost;
  beforeEach(async () => {
    host = await (await new RunningHost().start()).withGroup();
  });
  afterEach(() => host.close());

  const get = async (id: string) => (await host.call("GET", `${groupPath}/sandboxes/${id}`)).body;
  const states = async () => {
    const { body } = await host.call("GET", `${groupPath}/sandboxes`);
    return Object.fromEntries(body.map(({ id, state }: SandboxRecord) => [id, state]));
  };

  /** Ends the host, leaves records as a killed one would have, and starts it again over a driver with a fault. */
  async function killed(records: Partial<SandboxRecord>[] = [], fault: Partial<VmDriver> = {}): Promise<string[]> {
    await host.disconnect();
    await host.server.stop();
    const database = openDatabase(host.dataDir);
    const store = new SandboxStore(database);
    const groupKey = groupPath
      .replace(/\/(subscriptions|resourceGroups|sandboxGroups)\//g, "/")
      .slice(1)
      .toLowerCase();
    const source = { sourcesRef: { diskImage: { name: "ubuntu", isPublic: true } } };
    const written = records.map((change) => {
      const record = { ...newSandbox(groupKey, source, host.machines.driver().capabilities), ...change };
      store.put(record);
      return record.id;
    });
    database.close();
    await host.start({ driver: { ...host.machines.driver(), ...fault } });
    return written;
  }

  test("goes on with a creation whose id was answered, and drops the others", async () => {
    const [answered, unknown] = await killed([{ acknowledged: true }, {}]);
    await expect.poll(() => get(answered!)).toMatchObject({ state: "Running" });
    expect(await states()).toEqual({ [answered!]: "Running" });
    expect([...host.machines.vms.keys()]).toEqual([answered]);
    expect(unknown).not.toBe(answered);
  });

  test("says why a creation that was answered cannot be gone on with", async () => {
    host.machines.beforeClone = () => Promise.reject(new Error("no luck"));
    const [id] = await killed([{ acknowledged: true }]);
    await expect.poll(() => get(id!)).toMatchObject({ state: "Failed", stateDetails: { failedReason: /no luck/ } });
    const { body } = await host.call("GET", "/status");
    expect(body.memory.reservedMiB).toBe(0);
  });

  test("serves though a machine does not come back, and says so of that sandbox", async () => {
    const [well, ill] = [await host.sandbox(), await host.sandbox()];
    const adopt = async (id: string) => {
      if (id === ill) throw new Error("it says nothing");
      return host.machines.vms.get(id);
    };
    await killed([], { adopt });
    expect(await states()).toEqual({ [well]: "Running", [ill]: "Failed" });
    expect((await get(ill)).stateDetails.failedReason).toMatch("it says nothing");
    expect([...host.machines.vms.keys()]).toEqual([well]);
  });

  test("serves though a machine dies while it is woken", async () => {
    const id = await host.sandbox();
    const vm = host.machines.vms.get(id)!;
    vm.paused = true;
    vm.resume = async () => {
      vm.crash("it fell over");
      throw new Error("gone");
    };
    await killed();
    expect(await get(id)).toMatchObject({ state: "Failed", stateDetails: { failedReason: "Error: gone" } });
    expect(host.machines.vms.size).toBe(0);
  });

  test("serves though a machine that nobody knows cannot be ended", async () => {
    const stray = new FolderVm(randomUUID());
    host.machines.vms.set(stray.id, stray);
    await killed([], { destroy: () => Promise.reject(new Error("it does not end")) });
    expect(await states()).toEqual({});
    expect(host.log.join("")).toMatch("it does not end");
  });

  test("removes what was being deleted, and what lost its group", async () => {
    const [deleting, orphan] = [await host.sandbox(), await host.sandbox()];
    await killed([
      { id: deleting, state: "Deleting" },
      { id: orphan, state: "Running", groupKey: "s1/local/gone" },
    ]);
    expect(await states()).toEqual({});
    expect(host.machines.vms.size).toBe(0);
  });

  test("finishes a stop that was under way", async () => {
    const id = await host.sandbox();
    await killed([{ id, state: "Stopping", stateDetails: { stoppedReason: "Idle" } }]);
    expect(await get(id)).toMatchObject({ state: "Stopped", stateDetails: { stoppedReason: "Idle" } });
    expect(host.machines.suspended.has(id)).toBe(true);
  });

  test("lets run on what it cannot stop after all", async () => {
    const id = await host.sandbox();
    host.machines.beforeSave = () => Promise.reject(new Error("no room"));
    await killed([{ id, state: "Stopping" }]);
    expect(await get(id)).toMatchObject({ state: "Running" });
    expect(host.log.join("")).toMatch("no room");
  });

  test("takes a sandbox for what its machine is: on disk, running, or gone", async () => {
    const [onDisk, wasWoken, gone] = [await host.sandbox(), await host.sandbox(), await host.sandbox()];
    host.machines.suspended.add(onDisk);
    host.machines.vms.get(gone)!.crash("a power failure");
    host.machines.vms.delete(gone);
    await killed([
      { id: onDisk, state: "Running" },
      { id: wasWoken, state: "Stopped" },
      { id: gone, state: "Stopped" },
    ]);
    expect(await states()).toEqual({ [onDisk]: "Stopped", [wasWoken]: "Running", [gone]: "Failed" });
    expect((await get(gone)).stateDetails.failedReason).toMatch("not on disk");
    expect((await host.call("GET", "/status")).body.memory.reservedMiB).toBe(512 + 64);
  });
});

describe("a machine that ends by itself", () => {
  let host: RunningHost;
  beforeEach(async () => {
    host = await (await new RunningHost().start()).withGroup();
  });
  afterEach(() => host.close());

  test("while it is stopped is Failed, not Running", async () => {
    const id = await host.sandbox();
    const vm = host.machines.vms.get(id)!;
    host.machines.beforeSave = async () => {
      vm.crash("killed");
      // The end is known before the answer is.
      await new Promise((resolve) => setTimeout(resolve, 50));
      throw new Error("gone");
    };
    expect((await host.call("POST", `${groupPath}/sandboxes/${id}/stop`)).status).toBeGreaterThanOrEqual(400);
    const get = async () => (await host.call("GET", `${groupPath}/sandboxes/${id}`)).body;
    await expect.poll(get).toMatchObject({ state: "Failed", stateDetails: { failedReason: /killed/ } });
  });

  test("does not take the host with it when what is left cannot be removed", async () => {
    const driver = host.machines.driver();
    await host.disconnect();
    await host.server.stop();
    let broken = false;
    const destroy = (id: string) => (broken ? Promise.reject(new Error("busy")) : driver.destroy(id));
    await host.start({ driver: { ...driver, destroy } });
    const id = await host.sandbox();
    broken = true;
    host.machines.vms.get(id)!.crash("killed");
    await expect.poll(() => host.log.join("")).toMatch("busy");
    expect((await host.call("GET", `${groupPath}/sandboxes/${id}`)).body.state).toBe("Failed");
    broken = false;
    expect((await host.call("DELETE", `${groupPath}/sandboxes/${id}`)).status).toBe(200);
    expect((await host.call("GET", `${armPath}/g1`)).status).toBe(200);
  });
});
