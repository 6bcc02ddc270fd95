import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startQemu } from "../../../provider/host/vm/qemu/qemuProcess";
import type { Spawner } from "../../../provider/host/vm/qemu/spawner";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vm-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("a QEMU that nobody can reach is a guest that failed, by its last words, and leaves no process", async () => {
  const child = spawn("sleep", ["1000"]);
  const ended = new Promise<string>((resolve) => child.once("exit", (_code, signal) => resolve(String(signal))));
  const spawner: Spawner = {
    spawn: async () => {
      writeFileSync(join(folder, "qemu.log"), "qemu: no memory\n");
      return { pid: child.pid!, ended };
    },
    close: async () => {},
  };
  await expect(startQemu(spawner, { directory: folder, argv: ["qemu"] })).rejects.toMatchObject({
    code: "GuestFailed",
    message: "QEMU ended: qemu: no memory",
  });
  expect(await ended).toBe("SIGKILL");
});
