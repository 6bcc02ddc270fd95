import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openDatabase } from "../../../provider/host/store/database";
import { SandboxStore } from "../../../provider/host/store/sandboxStore";
import { groupPath, RunningHost } from "../fakes/runningHost";

const sandboxes = `${groupPath}/sandboxes`;

let host: RunningHost;
beforeEach(async () => {
  host = await (await new RunningHost().start()).withGroup();
});
afterEach(() => host.close());

const call: RunningHost["call"] = (...all) => host.call(...all);
const post = (id: string, what: string, body: object = {}) => call("POST", `${sandboxes}/${id}/${what}`, body);
const view = async (id: string) => (await call("GET", `${sandboxes}/${id}`)).body;
const idleAfter = (interval: number) => ({ autoSuspendPolicy: { enabled: true, interval, mode: "Memory" } });

describe("a stop", () => {
  test("gives memory back, and a resume may have to wait for some", async () => {
    await host.disconnect();
    await host.server.stop();
    await host.start({ admission: { memoryBudgetMiB: 700 } });
    const first = await host.sandbox();
    await post(first, "stop");
    expect(await view(first)).toMatchObject({ state: "Stopped", coldStorageSizeInMB: 39 });
    expect((await call("GET", "/status")).body.memory.reservedMiB).toBe(0);
    const second = await host.sandbox();
    const refused = await post(first, "resume");
    expect([refused.status, refused.body.error.code]).toEqual([429, "CapacityExceeded"]);
    expect((await view(first)).state).toBe("Stopped");
    await post(second, "stop");
    expect((await post(first, "resume")).body.state).toBe("Running");
    expect((await call("GET", "/status")).body.memory.reservedMiB).toBe(576);
  });

  test("that fails leaves it running, a resume that fails leaves it stopped", async () => {
    const id = await host.sandbox();
    host.machines.beforeSave = () => Promise.reject(new Error("no room"));
    expect((await post(id, "stop")).status).toBe(502);
    expect((await view(id)).state).toBe("Running");
    expect((await post(id, "executeShellCommand", { command: "echo hi" })).body.stdout).toBe("hi\n");
    host.machines.beforeSave = undefined;
    await post(id, "stop");
    host.machines.beforeWake = () => Promise.reject(new Error("not now"));
    expect((await post(id, "resume")).status).toBe(502);
    expect((await view(id)).state).toBe("Stopped");
    expect((await call("GET", "/status")).body.memory.reservedMiB).toBe(0);
    host.machines.beforeWake = undefined;
    expect((await post(id, "resume")).body.state).toBe("Running");
  });

  test("tells whoever waits for a program that it was stopped", async () => {
    const id = await host.sandbox();
    const { agent } = host.machines.vms.get(id)!;
    const waiting = post(id, "executeShellCommand", { command: "sleep 1000" });
    while (agent.running === 0) await sleep(5);
    await post(id, "stop");
    agent.lose();
    const reply = await waiting;
    expect([reply.status, reply.body.error.code]).toEqual([409, "SandboxNotRunning"]);
    expect(reply.body.error.hint).toMatch("goes on");
  });

  test("outlives the host, and a stop of the host", async () => {
    const [stopped, running] = [await host.sandbox(), await host.sandbox()];
    await post(stopped, "stop");
    await host.disconnect();
    await host.server.stop({ stopSandboxes: true });
    await host.start();
    expect((await view(stopped)).state).toBe("Stopped");
    expect((await view(running)).state).toBe("Failed");
    expect((await post(stopped, "resume")).body.state).toBe("Running");
  });
});

describe("a disabled sandbox", () => {
  test("stays stopped until it is enabled, whoever wants it", async () => {
    const id = await host.sandbox();
    expect((await post(id, "disable")).body).toMatchObject({
      state: "Stopped",
      stateDetails: { stoppedReason: "Disabled" },
    });
    expect((await post(id, "disable")).status).toBe(200);
    const refused = await post(id, "resume");
    expect([refused.status, refused.body.error.code]).toEqual([409, "SandboxAdminDisabled"]);
    const exec = await post(id, "executeShellCommand", { command: "true", activationMode: "OnDemand" });
    expect(exec.status).toBe(409);
    expect((await post(id, "enable")).body).toMatchObject({
      state: "Stopped",
      stateDetails: { stoppedReason: "UserStopped" },
    });
    expect((await post(id, "enable")).status).toBe(200);
    expect((await post(id, "resume")).body.state).toBe("Running");
    expect((await post(id, "enable")).body.state).toBe("Running");
  });

  test("may have been stopped before", async () => {
    const id = await host.sandbox();
    await post(id, "stop");
    expect((await post(id, "disable")).body.stateDetails.stoppedReason).toBe("Disabled");
    expect((await post(id, "resume")).status).toBe(409);
  });
});

describe("a lifecycle", () => {
  test("does nothing by itself unless it is asked for, and is changed in parts", async () => {
    const id = await host.sandbox();
    expect((await view(id)).lifecycle).toEqual({
      autoSuspendPolicy: { enabled: false, interval: 300, mode: "Memory" },
      autoDeletePolicy: { enabled: false },
    });
    const set = await post(id, "lifecycle", { autoSuspendPolicy: { enabled: true, interval: 60 } });
    expect(set.status).toBe(200);
    // Azure's Python SDK reads the policy beside the sandbox's own fields.
    expect(set.body).toMatchObject({ id, autoSuspendPolicy: { enabled: true, interval: 60, mode: "Memory" } });
    expect((await view(id)).lifecycle.autoDeletePolicy).toEqual({ enabled: false });
    const bad = await post(id, "lifecycle", { autoSuspendPolicy: { enabled: true, interval: 0 } });
    expect([bad.status, Object.keys(bad.body.errors)]).toEqual([400, ["lifecycle.autoSuspendPolicy.interval"]]);
  });

  test("suspends a sandbox that nobody uses, and use brings it back", async () => {
    const id = await host.sandbox({ lifecycle: idleAfter(0.3) });
    await expect.poll(async () => (await view(id)).state).toBe("Stopped");
    expect((await view(id)).stateDetails.stoppedReason).toBe("Idle");
    const woken = await post(id, "executeShellCommand", { command: "echo awake", activationMode: "OnDemand" });
    expect(woken.body.stdout).toBe("awake\n");
    await expect.poll(async () => (await view(id)).state).toBe("Stopped");
  });

  test("counts from the moment on that a sandbox runs, however long that took", async () => {
    host.machines.beforeClone = () => sleep(3_300);
    const lifecycle = idleAfter(3);
    const made = await call("PUT", sandboxes, {
      sourcesRef: { diskImage: { name: "ubuntu", isPublic: true } },
      lifecycle,
    });
    expect(made.body.state).toBe("Running");
    expect((await post(made.body.id, "executeShellCommand", { command: "echo used" })).body.stdout).toBe("used\n");
    await expect.poll(async () => (await view(made.body.id)).state).toBe("Stopped");
  });

  test("counts programs under way and files as use, looking at it as none", async () => {
    const [used, looked] = [
      await host.sandbox({ lifecycle: idleAfter(3) }),
      await host.sandbox({ lifecycle: idleAfter(3) }),
    ];
    const running = post(used, "executeShellCommand", { command: "while [ ! -e go ]; do sleep 0.05; done" });
    // The other one's time would have been over before.
    await expect
      .poll(async () => {
        await call("GET", `${sandboxes}/${looked}/stats`);
        return (await view(looked)).state;
      })
      .toBe("Stopped");
    expect((await view(used)).state).toBe("Running");
    writeFileSync(join(host.machines.vms.get(used)!.folder, "go"), "");
    expect((await running).body.exitCode).toBe(0);
    for (const end = Date.now() + 4_500; Date.now() < end; ) {
      await Promise.all([sleep(100), call("GET", `${sandboxes}/${used}/files/list?path=/tmp`)]);
    }
    expect((await view(used)).state).toBe("Running");
    await expect.poll(async () => (await view(used)).state).toBe("Stopped");
  });

  test("counts waiting for a program in the background as use, the program itself and asking for it as none", async () => {
    const [followed, looked] = [
      await host.sandbox({ lifecycle: idleAfter(3) }),
      await host.sandbox({ lifecycle: idleAfter(3) }),
    ];
    const job = (id: string) => `${sandboxes}/${id}/backgroundProcesses/job`;
    for (const id of [followed, looked]) await call("PUT", job(id), { command: ["sleep", "600"] });
    const waiting = call("GET", `${job(followed)}/output?waitMs=60000`);
    await expect
      .poll(async () => {
        await call("GET", job(looked));
        return (await view(looked)).state;
      })
      .toBe("Stopped");
    expect((await view(followed)).state).toBe("Running");
    await call("DELETE", job(followed));
    await waiting;
  });

  test("deletes a sandbox after its stop, or after its creation", async () => {
    const policy = (trigger: string) => ({
      autoDeletePolicy: { enabled: true, deleteIntervalInSeconds: 1, trigger },
    });
    const young = await host.sandbox({ lifecycle: policy("AfterCreation") });
    const stopped = await host.sandbox({ lifecycle: policy("AfterSuspend") });
    await expect.poll(async () => (await call("GET", `${sandboxes}/${young}`)).status).toBe(404);
    expect((await view(stopped)).state).toBe("Running");
    await post(stopped, "stop");
    await expect.poll(async () => (await call("GET", `${sandboxes}/${stopped}`)).status).toBe(404);
    expect(host.machines.vms.size).toBe(0);
  });

  test("goes on after a restart of the host, its time passing meanwhile", async () => {
    const id = await host.sandbox({ lifecycle: idleAfter(3600) });
    const old = await host.sandbox({
      lifecycle: { autoDeletePolicy: { enabled: true, deleteIntervalInSeconds: 3600, trigger: "AfterCreation" } },
    });
    await host.disconnect();
    await host.server.stop();
    const database = openDatabase(host.dataDir);
    const store = new SandboxStore(database);
    const hoursAgo = new Date(Date.now() - 2 * 3600_000).toISOString();
    for (const record of store.all()) store.put({ ...record, createdAt: hoursAgo, lastActiveAt: hoursAgo });
    database.close();
    await host.start();
    await expect.poll(async () => (await view(id)).state).toBe("Stopped");
    await expect.poll(async () => (await call("GET", `${sandboxes}/${old}`)).status).toBe(404);
  });

  test("is tried again when it fails, and bothers nobody meanwhile", async () => {
    const id = await host.sandbox({ lifecycle: idleAfter(0.2) });
    host.machines.beforeSave = () => Promise.reject(new Error("no room"));
    await expect.poll(() => host.log.join("")).toMatch("no room");
    expect((await view(id)).state).toBe("Running");
    expect(host.log.join("").match(/no room/g)).toHaveLength(1);
  });
});

describe("statistics", () => {
  test("are read from the guest's files, in the words of both of Azure's clients", async () => {
    const id = await host.sandbox();
    const files = {
      stat: "cpu  100 2 30 4000 5 6 7 8 0 0\ncpu0 100 2 30 4000 5 6 7 8 0 0\nintr 1\n",
      loadavg: "0.50 0.25 0.10 1/80 123\n",
      meminfo: "MemTotal:  1000 kB\nMemFree: 300 kB\nMemAvailable:  400 kB\n",
      uptime: "200.50 300.10\n",
      "net/dev":
        "Inter-| x\n face |bytes\n    lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n  eth0: 10 2 0 0 0 0 0 0 30 4 0 0 0 0 0 0\n",
    };
    for (const [name, content] of Object.entries(files)) {
      const path = join(host.machines.vms.get(id)!.folder, "proc", name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, content);
    }
    const { status, body } = await call("GET", `${sandboxes}/${id}/stats`);
    expect(status).toBe(200);
    expect(body).toEqual({
      cpu: {
        ...{ user: 100, nice: 2, system: 30, idle: 4000, iowait: 5, irq: 6, softirq: 7, steal: 8 },
        ...{ loadAvg1: 0.5, loadAvg5: 0.25, loadAvg15: 0.1 },
        usageCoreNanoSeconds: 1_530_000_000,
        usageNanoCores: Math.round(1_530_000_000 / 200.5),
      },
      memory: { totalBytes: 1_024_000, availableBytes: 409_600, usedBytes: 614_400 },
      network: { rxBytes: 10, rxPackets: 2, txBytes: 30, txPackets: 4 },
      disk: [
        { mountPoint: "/", filesystem: "overlay", totalBytes: 3000, usedBytes: 1000, availableBytes: 1000, label: "" },
      ],
      storage: { totalBytes: 3000, usedBytes: 1000, availableBytes: 1000 },
      uptimeSecs: 200.5,
    });
    expect((await call("GET", `${sandboxes}/${id}/stats`)).body.cpu.usageNanoCores).toBe(0);
    await post(id, "stop");
    expect((await call("GET", `${sandboxes}/${id}/stats`)).body.error.code).toBe("SandboxNotRunning");
  });
});
