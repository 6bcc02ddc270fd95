import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { nativeBinary } from "../../../../provider/host/vm/native";
import { processesIn } from "../../../../provider/host/vm/processes";
import { createSpawner, type Spawner } from "../../../../provider/host/vm/qemu/spawner";
import { endProcessesIn } from "../../../../provider/host/vm/vmDirectory";

let folder: string;
let spawner: Spawner;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "spawner-"));
  spawner = createSpawner(nativeBinary("spawner"));
});
afterEach(async () => {
  await spawner.close();
  await endProcessesIn(folder, ["sleep"]);
  rmSync(folder, { recursive: true, force: true });
});

const sleeper = () => spawner.spawn({ directory: folder, argv: ["/bin/sleep", "1000"] });
const parentOf = (pid: number) => Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);

it("is started again after it was killed; what it started goes on", async () => {
  const first = await sleeper();
  const helper = parentOf(first.pid);
  process.kill(helper, "SIGKILL");
  await expect.poll(() => existsSync(`/proc/${helper}`)).toBe(false);
  const second = await sleeper();
  expect(parentOf(second.pid)).not.toBe(helper);
  expect((await processesIn(folder, ["sleep"])).map(({ pid }) => pid).sort()).toEqual([first.pid, second.pid].sort());
});

it("that is killed before it answers says so", async () => {
  const helper = parentOf((await sleeper()).pid);
  process.kill(helper, "SIGSTOP");
  const asked = [sleeper(), sleeper()];
  process.kill(helper, "SIGKILL");
  for (const each of asked) await expect(each).rejects.toMatchObject({ code: "HostUnavailable" });
  await sleeper();
});

it("reports how a process ended, and why one could not be started", async () => {
  const process_ = await spawner.spawn({ directory: folder, argv: ["/bin/sh", "-c", "exit 3"] });
  expect(await process_.ended).toBe("exit code 3");
  const absent = spawner.spawn({ directory: folder, argv: ["/no/such/program"] });
  await expect(absent).rejects.toMatchObject({ code: "HostUnavailable" });
});

it("has ended when it is closed, and leaves what it started", async () => {
  const { pid } = await sleeper();
  const helper = parentOf(pid);
  await spawner.close();
  await spawner.close();
  expect(existsSync(`/proc/${helper}`)).toBe(false);
  expect(existsSync(`/proc/${pid}`)).toBe(true);
});

it("leaves nothing that cannot be found by its directory, also when that is gone", async () => {
  const directory = join(folder, "vm");
  mkdirSync(directory);
  const { pid } = await spawner.spawn({ directory, argv: ["/bin/sleep", "1000"] });
  rmSync(directory, { recursive: true });
  expect((await processesIn(directory, ["sleep"])).map((found) => found.pid)).toEqual([pid]);
  await endProcessesIn(directory, ["sleep"]);
  expect(existsSync(`/proc/${pid}/exe`)).toBe(false);
});
