import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { connectUnix } from "../../../provider/host/vm/unixSocket";

let folder: string;
let server: Server;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "sandboxes-unix-"));
  server = createServer((socket) => socket.on("error", () => {}).pipe(socket));
  await new Promise<void>((resolve) => server.listen(join(folder, "echo.sock"), resolve));
});

afterEach(async () => {
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true });
});

it("keeps a connection that was made when the signal of the attempt comes later", async () => {
  const attempt = new AbortController();
  const socket = await connectUnix(folder, "echo.sock", attempt.signal);
  attempt.abort();
  await setImmediate();
  expect(socket.destroyed).toBe(false);
  socket.write("still here");
  expect(String(await new Promise((resolve) => socket.once("data", resolve)))).toBe("still here");
  socket.destroy();
});

it("rejects with the signal's reason, and where nobody listens", async () => {
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(connectUnix(folder, "echo.sock", signal)).rejects.toThrow("enough");
  await expect(connectUnix(folder, "nobody.sock")).rejects.toMatchObject({ code: "ENOENT" });
});

it("waits for a listener that has no room for another caller", async () => {
  const program = `require("net").createServer().listen({ path: process.argv[1], backlog: 1 }, () => console.log("up"))`;
  const listener = spawn(process.execPath, ["-e", program, join(folder, "busy.sock")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(listener.stdout, "data");
  listener.kill("SIGSTOP");
  const made: Socket[] = [];
  const attempts = Array.from({ length: 8 }, async () => made.push(await connectUnix(folder, "busy.sock")));
  await expect.poll(() => made.length).toBeGreaterThan(0);
  expect(made.length).toBeLessThan(attempts.length);
  listener.kill("SIGCONT");
  await Promise.all(attempts);
  for (const socket of made) socket.destroy();
  const ended = once(listener, "exit");
  listener.kill("SIGKILL");
  await ended;
});
