import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { afterEach, expect, test } from "vitest";
import { identify, isAlive, killAndWait } from "../../../provider/host/vm/processes";

let child: ChildProcess;
afterEach(() => child.kill("SIGKILL"));

test("a process lives while a thread of it does, also without its first one", async () => {
  const script = [
    "import ctypes, threading, time",
    "threading.Thread(target=time.sleep, args=(1000,)).start()",
    "print('begun', flush=True)",
    "ctypes.CDLL(None).pthread_exit(None)",
  ];
  child = spawn("python3", ["-c", script.join("\n")], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout!, "data");
  const process = (await identify(child.pid!))!;
  await expect.poll(() => readFileSync(`/proc/${child.pid}/stat`, "latin1")).toMatch(/\) Z /);
  expect(await isAlive(process)).toBe(true);
  await killAndWait(process);
  expect(await isAlive(process)).toBe(false);
});

test("a process that has ended is not taken for another one with its number", async () => {
  child = spawn("sleep", ["1000"]);
  const process = (await identify(child.pid!))!;
  expect(await isAlive(process)).toBe(true);
  expect(await isAlive({ ...process, startTime: "1" })).toBe(false);
  expect(await isAlive({ ...process, bootId: "another" })).toBe(false);
  await killAndWait({ ...process, startTime: "1" });
  expect(await isAlive(process)).toBe(true);
});
