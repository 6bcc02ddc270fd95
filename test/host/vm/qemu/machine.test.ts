import { existsSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Template, TemplateSpec, VmDriver } from "../../../../provider/host/vm/driver";
import { openProcessorShares } from "../../../../provider/host/vm/processorShare";
import { createQemuDriver } from "../../../../provider/host/vm/qemu";
import { busyboxRootfs } from "../busyboxRootfs";
import { processesOf } from "../driverContract";
import { run, shell } from "../guestCommands";

let base: string;
let dataDirectory: string;
let driver: VmDriver;
let spec: TemplateSpec;
let template: Template;
let count = 0;
const nextId = (): string => `vm-${++count}`;

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), "sandboxes-machine-"));
  // Longer than the path of a socket may be.
  dataDirectory = join(base, "d".repeat(120));
  await mkdir(dataDirectory);
  driver = await createQemuDriver({ dataDirectory });
  spec = { ...(await busyboxRootfs()), vcpus: 2, memoryMiB: 256, diskMiB: 64 };
  template = await driver.ensureTemplate(spec);
});

afterAll(async () => {
  for (const id of await driver.listVms()) await driver.destroy(id);
  await driver.close();
  expect(processesOf(base)).toEqual([]);
  await rm(base, { recursive: true });
});

/** User and system time so far. */
function processorMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

describe("the process of a VM", () => {
  it("has a filter of system calls, no way to new rights, no core dumps and no open files of ours", async () => {
    const vm = await driver.clone(template, { vmId: nextId() });
    const status = readFileSync(`/proc/${vm.pid}/status`, "utf8");
    expect(status).toMatch(/^Seccomp:\s+2$/m);
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m);
    expect(readFileSync(`/proc/${vm.pid}/limits`, "utf8")).toMatch(/^Max core file size\s+0\s+0/m);
    expect(readFileSync(`/proc/${vm.pid}/environ`, "utf8")).toBe("");
    const allowed = /^(socket:|anon_inode:|pipe:|\/dev\/(null|kvm|ptmx))|^\/memfd|\.squashfs$|\/(qemu\.log|state|ram)$/;
    const files = readdirSync(`/proc/${vm.pid}/fd`).flatMap((fd) => {
      try {
        return [readlinkSync(`/proc/${vm.pid}/fd/${fd}`)];
      } catch {
        return []; // It was closed while we looked.
      }
    });
    expect(files.filter((file) => !allowed.test(file))).toEqual([]);
    await vm.destroy();
  });

  it("keeps its directory and sockets to the host's user", async () => {
    const id = nextId();
    const vm = await driver.clone(template, { vmId: id });
    const folder = join(dataDirectory, "vms", id);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    for (const name of ["agent.sock", "qmp.sock", "qemu.log", "vm.json"]) {
      expect(statSync(join(folder, name)).mode & 0o077, name).toBe(0);
    }
    await vm.destroy();
  });

  it("has no more of the processors than its share, from the moment on that it is handed out", async ({ skip }) => {
    const shares = await openProcessorShares("/nobody");
    skip(shares.missing !== undefined, shares.missing);
    const id = nextId();
    const vm = await driver.clone(template, { vmId: id, cpuMillis: 500 });
    expect(readFileSync(`/proc/${vm.pid}/cgroup`, "utf8")).toContain(`-${id}`);
    // Read from outside inwards: what a busy machine puts between two readings only makes the share larger.
    const started = performance.now();
    const before = processorMs(vm.pid);
    await shell(vm.agent, "timeout 2 sh -c 'while :; do :; done'");
    expect(processorMs(vm.pid) - before).toBeLessThanOrEqual((performance.now() - started) * 0.5 + 100);
    await vm.destroy();
    const whole = await driver.clone(template, { vmId: nextId(), cpuMillis: 2000 });
    expect(readFileSync(`/proc/${whole.pid}/cgroup`, "utf8")).not.toContain(`-${whole.id}`);
    await whole.destroy();
  });

  it("lives on when the spawner is killed, and so does the next one's", async () => {
    const first = await driver.clone(template, { vmId: nextId() });
    const spawner = Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${first.pid}/status`, "utf8"))?.[1]);
    expect(readFileSync(`/proc/${spawner}/cmdline`, "utf8")).toContain("spawner");
    process.kill(spawner, "SIGKILL");
    await expect.poll(() => existsSync(`/proc/${spawner}`)).toBe(false);
    const second = await driver.clone(template, { vmId: nextId() });
    for (const vm of [first, second]) expect((await run(vm.agent, ["echo", "alive"])).stdout).toBe("alive\n");
    await first.destroy();
    await second.destroy();
    expect(processesOf(join(dataDirectory, "vms"))).toEqual([]);
  });
});

describe("the guest", () => {
  it("has its own kernel, its processors, memory and disk, and no network but lo", async () => {
    const vm = await driver.clone(template, { vmId: nextId() });
    const { agent } = vm;
    expect((await run(agent, ["cat", "/proc/version"])).stdout).not.toBe(readFileSync("/proc/version", "utf8"));
    expect((await run(agent, ["ls", "/sys/class/net"])).stdout).toBe("lo\n");
    expect((await shell(agent, "grep -c ^processor /proc/cpuinfo")).stdout).toBe("2\n");
    const memory = Number((await shell(agent, "awk '/MemTotal/ {print $2}' /proc/meminfo")).stdout);
    expect(memory).toBeGreaterThan(180 * 1024);
    expect(memory).toBeLessThan(256 * 1024);
    expect((await shell(agent, "dd if=/dev/zero of=/big bs=1M count=80")).stderr).toContain("No space left");
    await vm.destroy();
  });

  it.each([
    ["restarts", "reboot -f", /restarted or panicked/],
    ["panics", "echo c > /proc/sysrq-trigger", /restarted or panicked/],
    ["shuts down", "poweroff -f", /shut down/],
  ])("that %s has ended, with that reason", async (_name, script, reason) => {
    const vm = await driver.clone(template, { vmId: nextId() });
    const lost = shell(vm.agent, script).catch((error) => error);
    expect((await vm.exited).reason).toMatch(reason);
    expect(await lost).toMatchObject({ code: "GuestFailed" });
    await vm.destroy();
  });

  it("that lets go of the agent's port has ended, with that reason", async () => {
    const vm = await driver.clone(template, { vmId: nextId() });
    const script =
      "for device in /sys/bus/virtio/drivers/virtio_console/virtio*; do basename $device > /sys/bus/virtio/drivers/virtio_console/unbind; done";
    const lost = shell(vm.agent, script).catch((error) => error);
    expect((await vm.exited).reason).toMatch(/closed the agent's port/);
    expect(await lost).toMatchObject({ code: "GuestFailed" });
    await vm.destroy();
  });
});

describe("a template", () => {
  it("is built anew when its file is damaged", async () => {
    writeFileSync(join(dataDirectory, "templates", template.key, "meta.json"), "{");
    await expect(driver.clone(template, { vmId: nextId() })).rejects.toMatchObject({ code: "NotFound" });
    const again = await driver.ensureTemplate(spec);
    expect(again.key).toBe(template.key);
    expect(again.createdAt).not.toBe(template.createdAt);
    const vm = await driver.clone(again, { vmId: nextId() });
    await vm.destroy();
  });

  it("whose state QEMU cannot load is removed, so that the next one is built anew", async () => {
    const other = await driver.ensureTemplate({ ...spec, diskMiB: 66 });
    const state = join(dataDirectory, "templates", other.key, "state");
    writeFileSync(state, Buffer.alloc(statSync(state).size, "nonsense"));
    await expect(driver.clone(other, { vmId: nextId() })).rejects.toMatchObject({ code: "GuestFailed" });
    expect((await driver.listTemplates()).map((entry) => entry.key)).not.toContain(other.key);
    expect(await driver.listVms()).toEqual([]);
  });

  it.each(["booting", "warming", "freezing"])("leaves nothing when its build is given up while %s", async (step) => {
    const giveUp = new AbortController();
    const onProgress = (message: string): void => {
      if (message.includes(step)) giveUp.abort(new Error("enough"));
    };
    const other = { ...spec, diskMiB: 65 };
    await expect(driver.ensureTemplate(other, { signal: giveUp.signal, onProgress })).rejects.toThrow("enough");
    await expect.poll(() => readdirSync(join(dataDirectory, "templates"))).toEqual([template.key]);
    await expect.poll(() => processesOf(join(dataDirectory, "templates", ".build"))).toEqual([]);
  });

  it("is refused with the reason when a warm-up command fails", async () => {
    const warmUp = [["sh", "-c", "echo broken >&2; exit 4"]];
    const build = driver.ensureTemplate({ ...spec, warmUp });
    await expect(build).rejects.toMatchObject({ code: "ExecFailed", message: expect.stringContaining("broken") });
  });

  it("is refused with a reason when the image is none", async () => {
    const rootfsPath = join(base, "not-an-image");
    writeFileSync(rootfsPath, Buffer.alloc(8192));
    const build = driver.ensureTemplate({ ...spec, rootfsPath, rootfsDigest: "sha256:none" });
    await expect(build).rejects.toMatchObject({ code: "GuestFailed", message: expect.stringContaining("gave up") });
    const absent = driver.ensureTemplate({ ...spec, rootfsPath: join(base, "absent"), rootfsDigest: "sha256:absent" });
    await expect(absent).rejects.toMatchObject({ code: "ImageNotFound" });
  });
});

describe("a machine whose KVM cannot run the kernel", () => {
  it.runIf(existsSync("/dev/kvm"))("emulates it, and says why", async () => {
    const assumed = { accelerator: "kvm", isolation: "hardware", isApart: true } as const;
    const accelerator = { ...assumed, reason: "assumed by the test" };
    const folder = join(base, "kvm");
    const bold = await createQemuDriver({ dataDirectory: folder, accelerator, bootLimitMs: 30_000 });
    const vm = await bold.boot(spec, { vmId: "bold" });
    expect((await run(vm.agent, ["echo", "up"])).stdout).toBe("up\n");
    if (bold.capabilities.accelerator === "tcg") {
      expect(bold.capabilities).toMatchObject({ isolation: "emulated" });
      expect(bold.capabilities.reason).toContain("does not boot under KVM");
    }
    await vm.destroy();
    await bold.close();
  });
});
