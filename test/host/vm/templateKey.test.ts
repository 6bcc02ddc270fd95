import { expect, it } from "vitest";
import type { TemplateSpec } from "../../../provider/host/vm/driver";
import type { Environment } from "../../../provider/host/vm/qemu/environment";
import { templateKey } from "../../../provider/host/vm/qemu/templateKey";

const environment: Environment = {
  qemuPath: "/usr/bin/qemu",
  qemuVersion: "7.2.22",
  qemuDigest: "sha256:q",
  kernelVersion: "6.1",
  kernelPath: "/kernel",
  kernelDigest: "sha256:k",
  initramfsPath: "/initramfs",
  initramfsDigest: "i",
  hostCpu: "a CPU",
  tscKhz: 2_000_000,
};
const spec: TemplateSpec = { rootfsPath: "/image", rootfsDigest: "sha256:r", vcpus: 1, memoryMiB: 512, diskMiB: 1024 };
const program = { env: { A: "1", B: "2" }, cwd: "/", user: "root" };
const key = templateKey(environment, "tcg", spec);

it.each([
  ["image", templateKey(environment, "tcg", { ...spec, rootfsDigest: "sha256:s" })],
  ["number of processors", templateKey(environment, "tcg", { ...spec, vcpus: 2 })],
  ["memory", templateKey(environment, "tcg", { ...spec, memoryMiB: 1024 })],
  ["disk", templateKey(environment, "tcg", { ...spec, diskMiB: 2048 })],
  ["warm-up", templateKey(environment, "tcg", { ...spec, warmUp: [["true"]] })],
  ["way to start programs", templateKey(environment, "tcg", { ...spec, program })],
  ["accelerator", templateKey(environment, "kvm", spec)],
  ["QEMU", templateKey({ ...environment, qemuDigest: "sha256:p" }, "tcg", spec)],
  ["kernel", templateKey({ ...environment, kernelDigest: "sha256:l" }, "tcg", spec)],
  ["agent", templateKey({ ...environment, initramfsDigest: "j" }, "tcg", spec)],
  ["processor", templateKey({ ...environment, hostCpu: "another CPU" }, "tcg", spec)],
])("another %s gives another key", (_name, other) => {
  expect(other).not.toBe(key);
});

it("stays the same where only places differ, or the measured clock by its jitter", () => {
  const moved = { ...environment, qemuPath: "/opt/qemu", kernelPath: "/k", initramfsPath: "/i", tscKhz: 2_000_003 };
  expect(templateKey(moved, "tcg", { ...spec, rootfsPath: "/elsewhere" })).toBe(key);
});

it("does not depend on the order in which a specification was written", () => {
  const inOrder = templateKey(environment, "tcg", { ...spec, program });
  const reversed = { user: "root", cwd: "/", env: { B: "2", A: "1" } };
  expect(templateKey(environment, "tcg", { ...spec, program: reversed })).toBe(inOrder);
});
