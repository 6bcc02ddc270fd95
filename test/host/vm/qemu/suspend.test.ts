import { existsSync, statSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Template, TemplateSpec, Vm, VmDriver } from "../../../../provider/host/vm/driver";
import { openProcessorShares } from "../../../../provider/host/vm/processorShare";
import { createQemuDriver } from "../../../../provider/host/vm/qemu";
import { busyboxRootfs } from "../busyboxRootfs";
import { processesOf } from "../driverContract";
import { guestProcesses, newIdentity, run, shell } from "../guestCommands";

let folder: string;
let driver: VmDriver;
let spec: TemplateSpec;
let template: Template;
let count = 0;
const nextId = (): string => `vm-${++count}`;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sandboxes-suspend-"));
  driver = await createQemuDriver({ dataDirectory: folder });
  spec = { ...(await busyboxRootfs()), vcpus: 1, memoryMiB: 256, diskMiB: 256 };
  template = await driver.ensureTemplate(spec);
});

afterEach(async () => {
  for (const id of await driver.listVms()) await driver.destroy(id);
  expect(await readdir(join(folder, "vms"))).toEqual([]);
});

afterAll(async () => {
  await driver.close();
  expect(processesOf(folder)).toEqual([]);
  await rm(folder, { recursive: true });
});

/** Something that is nowhere but in the guest's memory. */
async function writeNonce(vm: Vm): Promise<string> {
  return (await shell(vm.agent, "head -c 16 /dev/urandom | sha256sum | tee /dev/shm/nonce")).stdout;
}

async function readNonce(vm: Vm): Promise<string> {
  return (await run(vm.agent, ["cat", "/dev/shm/nonce"])).stdout;
}

test.each([
  ["in memory", 64],
  ["on a disk", 256],
])(
  "a suspended VM is files only, and goes on with its memory and all its programs; its writes %s",
  async (_where, diskMiB) => {
    const id = nextId();
    const vm = await driver.clone(await driver.ensureTemplate({ ...spec, diskMiB }), { vmId: id });
    const nonce = await writeNonce(vm);
    await shell(vm.agent, "echo written > /written; sleep 98761 >/dev/null 2>&1 &");
    const called = await vm.agent.exec({ argv: ["sleep", "98762"], env: { PATH: "/bin" } });
    const outcome = called.exit.catch((error: unknown) => error);
    const saved = await driver.suspend(id);
    expect(saved.sizeBytes).toBeGreaterThan(2 ** 20);
    expect(processesOf(folder)).toEqual([]);
    expect((await vm.exited).reason).toMatch(/suspended/);
    expect(await outcome).toMatchObject({ code: "GuestFailed" });
    expect(await driver.adopt(id)).toBeUndefined();
    expect(await driver.suspended(id)).toEqual(saved);

    const again = await driver.wake(id);
    expect(await readNonce(again)).toBe(nonce);
    for (const program of ["sleep 98761", "sleep 98762"]) {
      await expect.poll(() => guestProcesses(again.agent)).toContain(program);
    }
    expect(await driver.suspended(id)).toBeUndefined();

    // And once more: what it maps now is no template.
    await shell(again.agent, "echo second > /dev/shm/second");
    await driver.suspend(id);
    const third = await driver.wake(id);
    expect(await readNonce(third)).toBe(nonce);
    expect((await shell(third.agent, "echo 3 > /proc/sys/vm/drop_caches; cat /written")).stdout).toBe("written\n");
    expect((await run(third.agent, ["cat", "/dev/shm/second"])).stdout).toBe("second\n");
    expect(await guestProcesses(third.agent)).toContain("sleep 98761");
  },
);

test("a VM that an earlier process suspended goes on, and so does one that it was suspending", async () => {
  const [asleep, between] = [nextId(), nextId()];
  const earlier = await createQemuDriver({ dataDirectory: folder });
  const nonce = await writeNonce(await earlier.clone(template, { vmId: asleep }));
  await earlier.suspend(asleep);
  const other = await earlier.clone(template, { vmId: between });
  const otherNonce = await writeNonce(other);
  // Complete on disk, the process not yet gone: what a crash at that moment leaves.
  await earlier.save(between, join(folder, "vms", between, "saved"));
  await earlier.close();

  expect(await driver.suspended(asleep)).toBeDefined();
  expect(await driver.adopt(between)).toBeUndefined();
  expect(await driver.suspended(between)).toBeDefined();
  expect(processesOf(folder)).toEqual([]);
  expect(await readNonce(await driver.wake(asleep))).toBe(nonce);
  expect(await readNonce(await driver.wake(between))).toBe(otherNonce);
});

test("a VM that an earlier process was saving goes on without what that left, and with its share of the processors", async ({
  skip,
}) => {
  const shares = await openProcessorShares("/nobody");
  const id = nextId();
  const directory = join(folder, "vms", id);
  const earlier = await createQemuDriver({ dataDirectory: folder });
  const vm = await earlier.clone(template, { vmId: id, cpuMillis: 500 });
  const nonce = await writeNonce(vm);
  await vm.pause();
  await earlier.close();
  const before = await readdir(directory);
  for (const name of ["saved.new", "saved.removed"]) await mkdir(join(directory, name));
  await writeFile(join(directory, "state.sock"), "");
  const groups = "/sys/fs/cgroup/cpu/cgroup.procs";
  // As a wake leaves it that was cut off before.
  if (existsSync(groups)) await writeFile(groups, `${vm.pid}`);

  const adopted = await driver.adopt(id);
  await adopted?.resume();
  expect(await readNonce(adopted!)).toBe(nonce);
  expect((await readdir(directory)).sort()).toEqual(before.sort());
  skip(shares.missing !== undefined, shares.missing);
  expect(await readFile(`/proc/${vm.pid}/cgroup`, "utf8")).toContain(`-${id}`);
});

test("a VM goes on when it could not be suspended", async () => {
  const id = nextId();
  const vm = await driver.clone(template, { vmId: id });
  const nonce = await writeNonce(vm);
  const given = new AbortController();
  const refused = expect(driver.suspend(id, { signal: given.signal })).rejects.toThrow("changed my mind");
  // In the midst of its memory, however fast this machine is.
  const memory = join(folder, "vms", id, "saved.new", "ram");
  while (!statSync(memory, { throwIfNoEntry: false })?.blocks) await setImmediate();
  given.abort(new Error("changed my mind"));
  await refused;
  expect(vm.paused).toBe(false);
  expect(await readNonce(vm)).toBe(nonce);
  await writeFile(join(folder, "no-folder"), "");
  await expect(driver.save(id, join(folder, "no-folder", "saved"))).rejects.toThrow("ENOTDIR");
  expect(await readNonce(vm)).toBe(nonce);
  expect(await readdir(join(folder, "vms", id))).not.toContain("saved.new");
  // Nothing of it is in the way of the next time.
  await driver.suspend(id);
  expect(await readNonce(await driver.wake(id))).toBe(nonce);
});

test("a copy outlives its VM and makes as many as wished, each an individual", async () => {
  const id = nextId();
  const vm = await driver.clone(template, { vmId: id });
  const nonce = await writeNonce(vm);
  await shell(vm.agent, "sleep 98763 >/dev/null 2>&1 &");
  const directory = join(folder, "copy");
  const saved = await driver.save(id, directory);
  expect(saved.sizeBytes).toBeGreaterThan(2 ** 20);
  // It goes on as if nothing had been.
  await shell(vm.agent, "echo later > /dev/shm/later");
  await vm.destroy();

  const copies = await Promise.all([nextId(), nextId()].map((vmId) => driver.restore(directory, { vmId })));
  await rm(directory, { recursive: true });
  const seen = await Promise.all(
    copies.map(async (copy) => {
      await copy.agent.refresh(newIdentity());
      expect(await readNonce(copy)).toBe(nonce);
      await expect.poll(() => guestProcesses(copy.agent)).toContain("sleep 98763");
      expect((await run(copy.agent, ["ls", "/dev/shm/later"])).exitCode).not.toBe(0);
      return (await shell(copy.agent, "head -c 32 /dev/urandom | sha256sum; cat /etc/machine-id")).stdout.split("\n");
    }),
  );
  for (const [index, value] of seen[0]!.slice(0, 2).entries()) expect(value).not.toBe(seen[1]?.[index]);
  // A copy is a machine like any other.
  await driver.suspend(copies[0]!.id);
  expect(await readNonce(await driver.wake(copies[0]!.id))).toBe(nonce);
  await expect(driver.restore(directory, { vmId: nextId() })).rejects.toMatchObject({ code: "NotFound" });
});

test("a machine without a template is suspended likewise", async () => {
  const id = nextId();
  const nonce = await writeNonce(await driver.boot(spec, { vmId: id }));
  await driver.suspend(id);
  expect(await readNonce(await driver.wake(id))).toBe(nonce);
});

test("what cannot go on is refused and stays as it is", async () => {
  const id = nextId();
  const vm = await driver.clone(template, { vmId: id });
  const nonce = await writeNonce(vm);
  await expect(driver.wake(id)).rejects.toMatchObject({ code: "Conflict" });
  await driver.suspend(id);
  await expect(driver.suspend(id)).rejects.toMatchObject({ code: "NotFound" });
  const meta = join(folder, "vms", id, "saved", "meta.json");
  const text = await readFile(meta, "utf8");
  await writeFile(meta, text.replace(/"qemuVersion": "[^"]*"/, '"qemuVersion": "6.0.0"'));
  await expect(driver.wake(id)).rejects.toMatchObject({ code: "Conflict", message: expect.stringContaining("6.0.0") });
  await writeFile(meta, text);
  expect(await readNonce(await driver.wake(id))).toBe(nonce);
  await expect(driver.suspend("never-was")).rejects.toMatchObject({ code: "NotFound" });
  await expect(driver.wake("never-was")).rejects.toMatchObject({ code: "NotFound" });
});

test("a saved machine that is damaged counts as none", async () => {
  const id = nextId();
  await driver.clone(template, { vmId: id });
  await driver.suspend(id);
  await truncate(join(folder, "vms", id, "saved", "state"), 1000);
  expect(await driver.suspended(id)).toBeUndefined();
  await expect(driver.wake(id)).rejects.toMatchObject({ code: "NotFound" });
});

test("files of a machine's own go with it", async () => {
  const id = nextId();
  await driver.clone(template, { vmId: id });
  await writeFile(join(folder, "vms", id, "notes"), "its own");
  const directory = join(folder, "with-notes");
  await driver.save(id, directory);
  await writeFile(join(folder, "vms", id, "notes"), "changed later");
  const copy = nextId();
  await driver.restore(directory, { vmId: copy });
  expect(await readFile(join(folder, "vms", copy, "notes"), "utf8")).toBe("its own");
  await driver.suspend(id);
  await driver.wake(id);
  expect(await readFile(join(folder, "vms", id, "notes"), "utf8")).toBe("changed later");
  await rm(directory, { recursive: true });
});

test("destroying a suspended VM leaves nothing", async () => {
  const id = nextId();
  await driver.clone(template, { vmId: id });
  await driver.suspend(id);
  expect(await driver.listVms()).toContain(id);
  await driver.destroy(id);
  expect(existsSync(join(folder, "vms", id))).toBe(false);
  expect(await driver.suspended(id)).toBeUndefined();
});
