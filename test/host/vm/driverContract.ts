import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Template, TemplateSpec, VmDriver } from "../../../provider/host/vm/driver";
import { sendGarbage } from "./garbageProgram";
import { guestProcesses, newIdentity, run, shell } from "./guestCommands";

export interface ContractTarget {
  createDriver(dataDirectory: string): Promise<VmDriver>;
  createSpec(): Promise<TemplateSpec>;
  /** False where "guests" are processes of this machine and share its identity. */
  isMachine: boolean;
  /** Why clones' files cannot be kept apart here: in-process, without the right to make namespaces. */
  mixesFiles?: () => Promise<string | undefined>;
  /** Why a program's daemons can leave its tree here: in-process, without the right to make control groups. */
  losesDaemons?: () => Promise<string | undefined>;
}

/** What every driver must do; a new one is done when this passes. */
export function describeDriver(name: string, target: ContractTarget): void {
  describe(name, () => {
    let dataDirectory: string;
    let driver: VmDriver;
    let spec: TemplateSpec;
    let template: Template;
    let count = 0;
    const nextId = (): string => `vm-${++count}`;

    beforeAll(async () => {
      dataDirectory = await mkdtemp(join(tmpdir(), "sandboxes-driver-"));
      driver = await target.createDriver(dataDirectory);
      spec = await target.createSpec();
    });

    afterAll(async () => {
      for (const id of await driver.listVms()) await driver.destroy(id);
      await driver.close();
      expect(processesOf(dataDirectory)).toEqual([]);
      await rm(dataDirectory, { recursive: true });
    });

    it("builds a template once when five ask for it at once", async () => {
      const messages: string[] = [];
      const asked = [1, 2, 3, 4, 5].map((index) =>
        driver.ensureTemplate(spec, index === 1 ? { onProgress: (message) => messages.push(message) } : {}),
      );
      const templates = await Promise.all(asked);
      template = templates[0] as Template;
      expect(new Set(templates.map((entry) => `${entry.key} ${entry.createdAt}`)).size).toBe(1);
      expect((await driver.listTemplates()).map((entry) => entry.key)).toEqual([template.key]);
      expect(messages.length).toBeGreaterThan(0);
      expect((await driver.ensureTemplate(spec)).createdAt).toBe(template.createdAt);
    });

    it("gives another size another template key", async () => {
      expect(template.spec.memoryMiB).toBe(spec.memoryMiB);
      expect((await driver.ensureTemplate({ ...spec, diskMiB: spec.diskMiB + 1 })).key).not.toBe(template.key);
    });

    it("clones a VM that runs programs and keeps files", async () => {
      const vm = await driver.clone(template, { vmId: nextId() });
      expect(vm.paused).toBe(false);
      const result = await shell(vm.agent, "echo out; echo err >&2; exit 3");
      expect(result).toMatchObject({ stdout: "out\n", stderr: "err\n", exitCode: 3, signal: null, timedOut: false });
      await shell(vm.agent, "echo kept > /tmp/kept");
      expect((await run(vm.agent, ["cat", "/tmp/kept"])).stdout).toBe("kept\n");
      await vm.destroy();
    });

    it("keeps what one clone writes from the others", async ({ skip }) => {
      const obstacle = await target.mixesFiles?.();
      skip(obstacle !== undefined, obstacle);
      const [first, second] = await Promise.all([1, 2].map(() => driver.clone(template, { vmId: nextId() })));
      await shell(first!.agent, "echo mine > /tmp/mine");
      expect((await run(second!.agent, ["ls", "/tmp/mine"])).exitCode).not.toBe(0);
      await Promise.all([first!.destroy(), second!.destroy()]);
    });

    it("freezes a VM on pause and lets it go on with resume", async () => {
      const vm = await driver.clone(template, { vmId: nextId() });
      await vm.agent.ping();
      await vm.pause();
      await vm.pause();
      expect(vm.paused).toBe(true);
      await expect(vm.agent.ping({ signal: AbortSignal.timeout(300) })).rejects.toThrow();
      await vm.resume();
      await vm.resume();
      expect(vm.paused).toBe(false);
      await vm.agent.ping();
      await vm.destroy();
    });

    it("hands out a paused clone that answers after resume", async () => {
      const vm = await driver.clone(template, { vmId: nextId(), paused: true });
      expect(vm.paused).toBe(true);
      await vm.resume();
      expect((await run(vm.agent, ["echo", "awake"])).stdout).toBe("awake\n");
      await vm.destroy();
    });

    it("leaves no process, directory or socket behind a destroyed VM, however often it is destroyed", async () => {
      const id = nextId();
      const vm = await driver.clone(template, { vmId: id });
      expect(await driver.listVms()).toContain(id);
      await Promise.all([vm.destroy(), driver.destroy(id)]);
      await driver.destroy(id);
      expect((await vm.exited).reason).toBe("destroyed");
      await expect.poll(() => existsSync(`/proc/${vm.pid}/stat`)).toBe(false);
      expect(await driver.listVms()).not.toContain(id);
      expect(existsSync(join(dataDirectory, "vms", id))).toBe(false);
      await expect(vm.agent.ping()).rejects.toMatchObject({ code: "GuestFailed" });
    });

    it("finds VMs that an earlier host process left, running or paused", async () => {
      const [running, frozen] = [nextId(), nextId()];
      const earlier = await target.createDriver(dataDirectory);
      const vm = await earlier.clone(template, { vmId: running });
      await shell(vm.agent, "echo before > /tmp/before");
      await (await earlier.clone(template, { vmId: frozen })).pause();
      await earlier.close();

      const found = await driver.adopt(running);
      expect(found).toMatchObject({ id: running, pid: vm.pid, paused: false });
      expect((await run(found!.agent, ["cat", "/tmp/before"])).stdout).toBe("before\n");
      expect(await driver.adopt(running)).toBe(found);

      const paused = await driver.adopt(frozen);
      expect(paused?.paused).toBe(true);
      await expect(paused!.agent.ping()).rejects.toMatchObject({ code: "NotRunning" });
      await paused!.resume();
      await paused!.agent.ping();
      await Promise.all([found!.destroy(), paused!.destroy()]);
    });

    it("suspends a VM, which goes on when it is woken", async () => {
      const id = nextId();
      const vm = await driver.clone(template, { vmId: id });
      await shell(vm.agent, "echo before > /tmp/before");
      const saved = await driver.suspend(id);
      expect(await driver.suspended(id)).toEqual(saved);
      expect(await driver.adopt(id)).toBeUndefined();
      expect(await driver.listVms()).toContain(id);
      const again = await driver.wake(id);
      expect(again.paused).toBe(false);
      expect((await run(again.agent, ["cat", "/tmp/before"])).stdout).toBe("before\n");
      expect(await driver.suspended(id)).toBeUndefined();
      expect(await driver.adopt(id)).toBe(again);
      await driver.suspend(id);
      await driver.destroy(id);
      expect(await driver.listVms()).not.toContain(id);
    });

    it("finds nothing where there is nothing", async () => {
      expect(await driver.adopt("never-was")).toBeUndefined();
      await driver.destroy("never-was");
      await expect(driver.adopt("../../etc")).rejects.toMatchObject({ code: "Invalid" });
      await expect(driver.destroy("..")).rejects.toMatchObject({ code: "Invalid" });
    });

    it("tells that a VM has ended, and why", async () => {
      const id = nextId();
      const vm = await driver.clone(template, { vmId: id });
      process.kill(vm.pid, "SIGKILL");
      expect((await vm.exited).reason).toMatch(/ended/);
      await expect(vm.agent.ping()).rejects.toMatchObject({ code: "GuestFailed" });
      expect(await driver.listVms()).toContain(id);
      await driver.destroy(id);
      expect(await driver.listVms()).not.toContain(id);
    });

    it("ends a VM whose guest sends what is no protocol, and tells why", async ({ skip }) => {
      const obstacle = await target.mixesFiles?.();
      skip(obstacle !== undefined, obstacle);
      const id = nextId();
      const vm = await driver.clone(template, { vmId: id });
      const waiting = run(vm.agent, ["sleep", "98764"]).catch((error: unknown) => error);
      await sendGarbage(vm.agent);
      expect((await vm.exited).reason).toMatch(/broke the protocol/);
      expect(await waiting).toMatchObject({ code: "GuestFailed" });
      await expect.poll(() => existsSync(`/proc/${vm.pid}/stat`)).toBe(false);
      await driver.destroy(id);
    });

    it("does not adopt what has died meanwhile, and cleans up after it", async () => {
      const id = nextId();
      const earlier = await target.createDriver(dataDirectory);
      const vm = await earlier.clone(template, { vmId: id });
      await earlier.close();
      process.kill(vm.pid, "SIGKILL");
      await expect.poll(() => driver.adopt(id)).toBeUndefined();
      await driver.destroy(id);
      expect(await driver.listVms()).not.toContain(id);
    });

    it("ends the whole tree of a program at its time limit, daemons included", async ({ skip }) => {
      const obstacle = await target.losesDaemons?.();
      skip(obstacle !== undefined, obstacle);
      const vm = await driver.clone(template, { vmId: nextId() });
      const script = "(setsid sleep 98765 &) ; setsid sh -c 'sleep 98765 & sleep 98765' & sleep 98765";
      const result = await shell(vm.agent, script, { timeoutMs: 500 });
      expect(result).toMatchObject({ timedOut: true, exitCode: null, signal: "SIGKILL" });
      await expect.poll(() => guestProcesses(vm.agent)).not.toContain("sleep 98765");
      await vm.destroy();
    });

    it("refuses an id that is in use", async () => {
      const id = nextId();
      const vm = await driver.clone(template, { vmId: id });
      await expect(driver.clone(template, { vmId: id })).rejects.toMatchObject({ code: "Conflict" });
      await vm.agent.ping();
      await vm.destroy();
    });

    it("leaves nothing of a clone that was given up or failed", async () => {
      const signal = AbortSignal.abort(new Error("changed my mind"));
      await expect(driver.clone(template, { vmId: nextId(), signal })).rejects.toThrow("changed my mind");
      const missing = { ...template, key: "0123456789abcdef" };
      await expect(driver.clone(missing, { vmId: nextId() })).rejects.toMatchObject({ code: "NotFound" });
      expect(await driver.listVms()).toEqual([]);
    });

    it("boots without a template", async () => {
      const vm = await driver.boot(spec, { vmId: nextId() });
      expect((await run(vm.agent, ["echo", "booted"])).stdout).toBe("booted\n");
      await vm.destroy();
    });

    it.runIf(target.isMachine)("makes each clone an individual by refresh", async () => {
      const clones = await Promise.all([1, 2].map(() => driver.clone(template, { vmId: nextId() })));
      const seen = await Promise.all(
        clones.map(async ({ agent }) => {
          await agent.refresh(newIdentity());
          const random = await shell(agent, "head -c 32 /dev/urandom | sha256sum");
          const machine = await run(agent, ["cat", "/etc/machine-id"]);
          const boot = await run(agent, ["cat", "/proc/sys/kernel/random/boot_id"]);
          return [random.stdout, machine.stdout, boot.stdout];
        }),
      );
      for (const [index, value] of seen[0]!.entries()) {
        expect(value.trim()).not.toBe("");
        expect(value).not.toBe(seen[1]?.[index]);
      }
      await Promise.all(clones.map((vm) => vm.destroy()));
    });

    it("removes a template while its clones go on", async () => {
      const other = await driver.ensureTemplate({ ...spec, diskMiB: spec.diskMiB + 1 });
      const vm = await driver.clone(other, { vmId: nextId() });
      await driver.removeTemplate(other.key);
      await driver.removeTemplate(other.key);
      expect((await driver.listTemplates()).map((entry) => entry.key)).toEqual([template.key]);
      expect((await run(vm.agent, ["echo", "still here"])).stdout).toBe("still here\n");
      await vm.destroy();
      expect(await readdir(join(dataDirectory, "vms"))).toEqual([]);
    });
  });
}

/** Processes of this machine whose command line or working directory names the directory. */
export function processesOf(directory: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      } catch {
        // It ended while we looked.
        return "";
      }
    })
    .filter((line) => line.includes(directory));
}
