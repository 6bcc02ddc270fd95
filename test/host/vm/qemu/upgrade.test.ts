import { appendFileSync, chmodSync, cpSync, renameSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import type { Template, TemplateSpec, Vm, VmDriver } from "../../../../provider/host/vm/driver";
import { cachedKernel } from "../../../../provider/host/vm/kernel/kernel";
import { nativeDirectory } from "../../../../provider/host/vm/native";
import { createQemuDriver } from "../../../../provider/host/vm/qemu";
import { findQemu } from "../../../../provider/host/vm/qemu/environment";
import { busyboxRootfs } from "../busyboxRootfs";
import { processesOf } from "../driverContract";
import { run, shell } from "../guestCommands";

let base: string;
let dataDirectory: string;
let driver: VmDriver;
let spec: TemplateSpec;
let before: Template;
let running: Vm;
const environment = { ...process.env };

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), "sandboxes-upgrade-"));
  dataDirectory = join(base, "data");
  driver = await createQemuDriver({ dataDirectory });
  spec = { ...(await busyboxRootfs()), vcpus: 1, memoryMiB: 256, diskMiB: 64 };
  before = await driver.ensureTemplate(spec);
  running = await driver.clone(before, { vmId: "from-before" });
  await shell(running.agent, "echo written before > /tmp/note");
});

afterEach(() => {
  process.env = { ...environment };
});

afterAll(async () => {
  for (const id of await driver.listVms()) await driver.destroy(id);
  await driver.close();
  expect(processesOf(base)).toEqual([]);
  await rm(base, { recursive: true });
});

/** The same program, in another version as far as anybody can tell. */
const upgrades: [string, (folder: string) => Promise<void>][] = [
  [
    "the agent",
    async (folder) => {
      cpSync(nativeDirectory(), folder, { recursive: true });
      appendFileSync(join(folder, "agent"), "newer");
      process.env.SANDBOXES_NATIVE_DIR = folder;
    },
  ],
  [
    "the kernel",
    async (folder) => {
      const { vmlinuxPath = "" } = (await cachedKernel()) ?? {};
      cpSync(vmlinuxPath, join(folder, "vmlinux"));
      appendFileSync(join(folder, "vmlinux"), "newer");
      process.env.SANDBOXES_KERNEL = join(folder, "vmlinux");
      process.env.SANDBOXES_KERNEL_MODULES = join(vmlinuxPath, "..", "modules");
      process.env.XDG_CACHE_HOME = folder;
    },
  ],
  [
    "QEMU",
    async (folder) => {
      writeFileSync(join(folder, "qemu"), `#!/bin/sh\nexec ${await findQemu()} "$@"\n`);
      chmodSync(join(folder, "qemu"), 0o755);
      process.env.SANDBOXES_QEMU = join(folder, "qemu");
    },
  ],
];

it("after an upgrade of QEMU under a running host, too", async () => {
  const qemu = join(base, "qemu-of-a-package");
  const upgrade = (version: number) => {
    writeFileSync(`${qemu}.new`, `#!/bin/sh\n# ${version}\nexec /usr/bin/env qemu-system-x86_64 "$@"\n`);
    chmodSync(`${qemu}.new`, 0o755);
    // As a package manager does it.
    renameSync(`${qemu}.new`, qemu);
  };
  upgrade(1);
  process.env.SANDBOXES_QEMU = qemu;
  const template = await driver.ensureTemplate(spec);
  const vm = await driver.clone(template, { vmId: "of-one" });
  upgrade(2);
  await expect(driver.clone(template, { vmId: "of-two" })).rejects.toMatchObject({ code: "NotFound" });
  const after = await driver.ensureTemplate(spec);
  expect(after.key).not.toBe(template.key);
  expect((await driver.listStaleTemplates()).map(({ key }) => key)).toContain(template.key);
  expect((await run(vm.agent, ["echo", "on"])).stdout).toBe("on\n");
  await vm.destroy();
  for (const { key } of await driver.listStaleTemplates()) await driver.removeTemplate(key);
  // The one of the machine's own QEMU is stale at this moment.
  delete process.env.SANDBOXES_QEMU;
  before = await driver.ensureTemplate(spec);
  for (const { key } of await driver.listStaleTemplates()) await driver.removeTemplate(key);
});

it.each(upgrades)("after an upgrade of %s templates are made anew, and what runs goes on", async (name, upgrade) => {
  await driver.close();
  const folder = join(base, name.replace(" ", "-"));
  await mkdir(folder);
  await upgrade(folder);
  driver = await createQemuDriver({ dataDirectory });
  const adopted = await driver.adopt("from-before");
  const note = async () => (await run(adopted!.agent, ["cat", "/tmp/note"])).stdout;
  expect(await note()).toBe("written before\n");

  expect(await driver.listStaleTemplates()).toMatchObject([{ key: before.key }]);
  await expect(driver.clone(before, { vmId: "of-the-old" })).rejects.toMatchObject({ code: "NotFound" });
  const [after, again] = await Promise.all([driver.ensureTemplate(spec), driver.ensureTemplate(spec)]);
  expect(after.key).not.toBe(before.key);
  expect(again.createdAt).toBe(after.createdAt);
  const vm = await driver.clone(after, { vmId: "of-the-new" });
  expect((await run(vm.agent, ["echo", "new"])).stdout).toBe("new\n");

  const [stale] = await driver.listStaleTemplates();
  expect(stale?.key).toBe(before.key);
  expect(stale?.sizeBytes).toBeGreaterThan(1e6);
  await driver.removeTemplate(before.key);
  expect(await driver.listStaleTemplates()).toEqual([]);
  expect(await readdir(join(dataDirectory, "templates"))).toEqual([after.key]);
  expect(await note()).toBe("written before\n");
  await vm.destroy();
  // The next upgrade is the one after this.
  before = after;
});
