import { existsSync, readdirSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Template, TemplateSpec, VmDriver } from "../../../../provider/host/vm/driver";
import { createQemuDriver } from "../../../../provider/host/vm/qemu";
import { busyboxRootfs } from "../busyboxRootfs";
import { processesOf } from "../driverContract";
import { run, shell } from "../guestCommands";

const mib = 1024 * 1024;
const diskMiB = 320;
let dataDirectory: string;
let driver: VmDriver;
let template: Template;
let count = 0;
const nextId = (): string => `vm-${++count}`;
const folderOf = (id: string): string => join(dataDirectory, "vms", id);

beforeAll(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), "sandboxes-disk-"));
  driver = await createQemuDriver({ dataDirectory });
  const spec: TemplateSpec = { ...(await busyboxRootfs()), vcpus: 1, memoryMiB: 192, diskMiB };
  template = await driver.ensureTemplate({ ...spec, warmUp: [["sh", "-c", "echo template > /kept"]] });
});

afterAll(async () => {
  for (const id of await driver.listVms()) await driver.destroy(id);
  await driver.close();
  expect(processesOf(dataDirectory)).toEqual([]);
  await rm(dataDirectory, { recursive: true });
});

it("holds more than the guest's memory and ends at its limit, which the host's files do not exceed", async () => {
  const id = nextId();
  const vm = await driver.clone(template, { vmId: id });
  const filled = await shell(vm.agent, "dd if=/dev/urandom of=/big bs=1M count=400; sync; du -m /big | cut -f 1");
  expect(filled.stderr).toContain("No space left on device");
  expect(Number(filled.stdout)).toBeGreaterThan(diskMiB * 0.9);
  const written = readdirSync(folderOf(id)).map((name) => statSync(join(folderOf(id), name)));
  expect(Math.max(...written.map((file) => file.blocks * 512))).toBeGreaterThan(diskMiB * 0.9 * mib);
  expect(Math.max(...written.map((file) => file.size))).toBeLessThanOrEqual(diskMiB * mib);
  expect((await shell(vm.agent, "rm /big && echo again > /small && cat /small")).stdout).toBe("again\n");
  await vm.destroy();
  expect(existsSync(folderOf(id))).toBe(false);
});

it("begins as the template's in each clone, and none sees what another writes", async () => {
  const [first, second] = await Promise.all([1, 2].map(() => driver.clone(template, { vmId: nextId() })));
  const script = (word: string) =>
    `cat /kept; echo ${word} > /kept; sync; echo 3 > /proc/sys/vm/drop_caches; cat /kept`;
  expect((await shell(first!.agent, script("first"))).stdout).toBe("template\nfirst\n");
  expect((await shell(second!.agent, script("second"))).stdout).toBe("template\nsecond\n");
  const third = await driver.clone(template, { vmId: nextId() });
  expect((await run(third.agent, ["cat", "/kept"])).stdout).toBe("template\n");
  await Promise.all([first, second, third].map((vm) => vm!.destroy()));
});

it("costs the host only what was written", async () => {
  const id = nextId();
  const vm = await driver.clone(template, { vmId: id });
  const bytes = readdirSync(folderOf(id)).map((name) => statSync(join(folderOf(id), name)).blocks * 512);
  expect(Math.max(...bytes)).toBeLessThan(2 * mib);
  await vm.destroy();
});

it("goes with a machine that is suspended, copied and restored", async () => {
  const id = nextId();
  const vm = await driver.clone(template, { vmId: id });
  await shell(vm.agent, "dd if=/dev/urandom of=/big bs=1M count=40; md5sum /big > /sum; sync");
  await driver.suspend(id);
  const awake = await driver.wake(id);
  const check = "echo 3 > /proc/sys/vm/drop_caches; md5sum -c /sum";
  expect((await shell(awake.agent, check)).stdout).toBe("/big: OK\n");
  const saved = join(dataDirectory, "saved");
  await driver.save(id, saved);
  await shell(awake.agent, "rm /big; dd if=/dev/zero of=/other bs=1M count=60; sync");
  const copy = await driver.restore(saved, { vmId: nextId() });
  expect((await shell(copy.agent, check)).stdout).toBe("/big: OK\n");
  await Promise.all([awake.destroy(), copy.destroy()]);
});

it("stays readable when its template is removed, also after a suspend", async () => {
  const other = await driver.ensureTemplate({ ...template.spec, diskMiB: diskMiB + 1 });
  const id = nextId();
  await driver.clone(other, { vmId: id });
  await driver.removeTemplate(other.key);
  await driver.suspend(id);
  const awake = await driver.wake(id);
  const { stdout } = await shell(awake.agent, "echo 3 > /proc/sys/vm/drop_caches; cat /kept");
  expect(stdout).toBe("template\n");
  await awake.destroy();
});
