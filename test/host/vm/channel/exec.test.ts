import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connectGuestAgent } from "../../../../provider/host/vm/channel";
import { guestWindowBytes } from "../../../../provider/host/vm/channel/protocol";
import type { GuestAgent } from "../../../../provider/host/vm/guestAgent";
import {
  type AgentProcess,
  bytes,
  peakMemoryKiB,
  processesWith,
  run,
  shell,
  startAgent,
  text,
  uniqueSeconds,
  until,
} from "./agentProcess";

let process_: AgentProcess;
let agent: GuestAgent;
let socket: Socket;
const isRoot = process.getuid?.() === 0;

beforeAll(async () => {
  process_ = await startAgent();
  socket = await process_.open();
  agent = await connectGuestAgent(socket, { helloTimeoutMs: 60_000 });
});
afterAll(async () => {
  agent?.close();
  await process_?.stop();
});

test("a program's output, error output and exit code come apart", async () => {
  const result = await shell(agent, "echo out; echo err >&2; exit 3");
  expect(result).toMatchObject({ stdout: "out\n", stderr: "err\n", exitCode: 3, signal: null, timedOut: false });
  expect(result.durationMs).toBeGreaterThanOrEqual(0);
});

test("a signal that ends a program is named", async () => {
  expect(await shell(agent, "kill -SEGV $$")).toMatchObject({ exitCode: null, signal: "SIGSEGV", timedOut: false });
});

test("a program has the environment of its request and nothing else", async () => {
  const result = await run(agent, ["/usr/bin/env"], { env: { A: "1=2", EMPTY: "", ÄÖ: "ü" } });
  expect(result.stdout.split("\n").sort()).toEqual(["", "A=1=2", "EMPTY=", "ÄÖ=ü"]);
});

test("a program is found along the PATH of its request", async () => {
  const folder = join(process_.folder, "bin");
  mkdirSync(folder);
  writeFileSync(join(folder, "hello"), "#!/bin/sh\necho from here\n", { mode: 0o755 });
  expect((await run(agent, ["hello"], { env: { PATH: `/nowhere:${folder}` } })).stdout).toBe("from here\n");
  await expect(run(agent, ["hello"], { env: { PATH: "/usr/bin" } })).rejects.toMatchObject({ code: "ExecFailed" });
});

test("a program starts in its working directory", async () => {
  expect((await run(agent, ["/bin/pwd"], { cwd: "/usr/bin" })).stdout).toBe("/usr/bin\n");
  expect((await run(agent, ["/bin/pwd"])).stdout).toBe("/\n");
});

test("a program without stdin reads the end at once", async () => {
  expect(await run(agent, ["/bin/cat"])).toMatchObject({ stdout: "", exitCode: 0 });
});

test("what is written to stdin arrives byte for byte, and its end ends the program", async () => {
  const sent = randomBytes(3_000_000);
  const cat = await agent.exec({ argv: ["/bin/cat"], stdin: true });
  cat.stdin?.end(sent);
  const [received] = await Promise.all([bytes(cat.stdout), bytes(cat.stderr)]);
  expect(received.equals(sent)).toBe(true);
  expect(await cat.exit).toMatchObject({ exitCode: 0 });
});

test("a program that reads no stdin does not hold up its writer", async () => {
  const program = await agent.exec({ argv: ["/bin/sh", "-c", "exec <&-; echo closed; exec sleep 97"], stdin: true });
  program.stderr.resume();
  program.stdin?.end(Buffer.alloc(1_000_000));
  await finished(program.stdin!);
  program.kill("SIGKILL");
  program.stdout.resume();
  expect(await program.exit).toMatchObject({ signal: "SIGKILL" });
});

test("20 MB through a slow reader arrive whole while both sides stay small", async () => {
  const program = await agent.exec({ argv: ["/usr/bin/head", "-c", "20000000", "/dev/zero"] });
  program.stderr.resume();
  const before = socket.bytesRead;
  let length = 0;
  let chunks = 0;
  let mostHeld = 0;
  for await (const chunk of program.stdout) {
    length += chunk.length;
    chunks += 1;
    if (chunks % 50 === 0) await delay(5);
    // What has come in and was not handed to the reader is all that can be in memory here.
    mostHeld = Math.max(mostHeld, socket.bytesRead - before - length);
  }
  expect(length).toBe(20_000_000);
  expect(await program.exit).toMatchObject({ exitCode: 0 });
  expect(mostHeld).toBeLessThan(2 * guestWindowBytes);
  expect(peakMemoryKiB(process_.pid)).toBeLessThan(8_000);
});

test("a program whose output nobody reads waits, and the others go on", async () => {
  const unread = await agent.exec({ argv: ["/usr/bin/head", "-c", "2000000", "/dev/zero"] });
  for (let i = 0; i < 5; i++) expect((await shell(agent, `echo ${i}`)).stdout).toBe(`${i}\n`);
  expect(unread.stdout.readableLength).toBeLessThanOrEqual(64 * 1024);
  unread.stderr.resume();
  expect((await bytes(unread.stdout)).length).toBe(2_000_000);
  expect(await unread.exit).toMatchObject({ exitCode: 0 });
});

test("a destroyed output lets the program run to its end", async () => {
  const program = await agent.exec({ argv: ["/usr/bin/head", "-c", "3000000", "/dev/zero"] });
  program.stdout.destroy();
  program.stderr.destroy();
  expect(await program.exit).toMatchObject({ exitCode: 0 });
});

test("50 programs at once do not mix", async () => {
  const results = await Promise.all(
    Array.from({ length: 50 }, (_, i) =>
      shell(agent, `head -c ${i * 1000} /dev/zero | tr '\\0' x; echo ${i} >&2; exit ${i}`),
    ),
  );
  results.forEach((result, i) => {
    expect(result).toMatchObject({ stdout: "x".repeat(i * 1000), stderr: `${i}\n`, exitCode: i });
  });
});

test("output that is written right before the end is complete", async () => {
  for (let i = 0; i < 20; i++) {
    expect((await shell(agent, "head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2")).stderr.length).toBe(60_000);
  }
});

test("large arguments and environments go in parts", async () => {
  const long = "x".repeat(100_000);
  const result = await run(agent, ["/bin/sh", "-c", 'printf "%s%s" "$1" "$E"', "sh", long], { env: { E: long } });
  expect(result.stdout).toBe(long + long);
});

test("arguments beyond what the system takes are refused as such", async () => {
  await expect(run(agent, ["/bin/echo", "x".repeat(200_000)])).rejects.toMatchObject({ code: "Invalid" });
  await expect(run(agent, ["/bin/echo", "x".repeat(5_000_000)])).rejects.toMatchObject({ code: "TooLarge" });
});

test("each reason why a program cannot start has its own words", async () => {
  const file = (name: string, content: string, mode: number) => {
    const path = join(process_.folder, name);
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  };
  const message = async (argv: string[], options = {}) =>
    run(agent, argv, options).then(
      () => "it started",
      (error) => `${error.code}: ${error.message}`,
    );
  expect(await message(["nowhere"])).toMatch(/ExecFailed: Starting "nowhere": the program was not found/);
  expect(await message(["/no/where"])).toMatch(/the program was not found/);
  expect(await message([""])).toMatch(/the program was not found/);
  expect(await message(["/bin/echo"], { cwd: "/no/where" })).toMatch(/the working directory was not found/);
  expect(await message(["/bin/echo"], { cwd: "/etc/passwd" })).toMatch(/the working directory was not found/);
  expect(await message([file("plain", "#!/bin/sh\n", 0o644)])).toMatch(/permission to execute the program was denied/);
  expect(await message([file("text", "no program", 0o755)])).toMatch(/not in an executable format/);
  expect(await message([file("script", "#!/no/interpreter\n", 0o755)])).toMatch(/the interpreter .* was not found/);
  expect(await message(["/bin/echo"], { user: "nobody-there" })).toMatch(/the user is unknown/);
  expect(await message(["/bin/echo"], { user: "0:no-group" })).toMatch(/the group is unknown/);
  expect(await message(["/bin/echo"], { cwd: "relative" })).toMatch(/Invalid: .*not absolute/);
  expect(await message(["a\0b"])).toMatch(/Invalid: .*NUL/);
  expect(await message([])).toMatch(/Invalid: .*empty/);
});

test.runIf(isRoot)("a program runs as the user of its request, in that user's groups", async () => {
  const id = (await run(agent, ["/usr/bin/id"], { user: "nobody" })).stdout;
  expect(id).toMatch(/uid=65534\(nobody\)/);
  expect((await run(agent, ["/usr/bin/id"], { user: "4711:4712" })).stdout).toMatch(/uid=4711 gid=4712 groups=4712/);
  const closed = join(process_.folder, "closed");
  mkdirSync(closed, { mode: 0o700 });
  await expect(run(agent, ["/bin/pwd"], { user: "nobody", cwd: closed })).rejects.toMatchObject({
    message: expect.stringContaining("permission to enter the working directory was denied"),
  });
  // Its output can be opened by name, as many servers do for their logs.
  expect((await shell(agent, "echo logged > /dev/stdout", { user: "nobody" })).stdout).toBe("logged\n");
});

test("a terminal has the size that was asked for, and follows a resize", async () => {
  const program = await agent.exec({
    argv: [
      "/bin/sh",
      "-c",
      'stty -echo; stty size; trap "stty size; exit" WINCH; echo ready; while :; do sleep 0.05; done',
    ],
    env: { PATH: "/usr/bin:/bin" },
    tty: { columns: 100, rows: 30 },
  });
  let seen = "";
  for await (const chunk of program.stdout) {
    seen += chunk;
    if (seen.includes("ready") && !seen.includes("40 120")) program.resize(120, 40);
  }
  expect(seen.replaceAll("\r", "")).toBe("30 100\nready\n40 120\n");
  expect(await program.exit).toMatchObject({ exitCode: 0 });
});

test("a terminal takes keys, and the end of stdin is the end of its input", async () => {
  const program = await agent.exec({ argv: ["/bin/cat"], tty: { columns: 80, rows: 24 } });
  program.stdin?.end("hello\n");
  expect((await text(program.stdout)).replaceAll("\r", "")).toBe("hello\nhello\n");
  expect(await program.exit).toMatchObject({ exitCode: 0 });
});

test("an interrupt key ends what runs in the terminal", async () => {
  const seconds = uniqueSeconds();
  const program = await agent.exec({ argv: ["/bin/sleep", seconds], tty: { columns: 80, rows: 24 } });
  program.stdout.resume();
  await until(() => processesWith(seconds).length > 0);
  program.stdin?.write("\x03");
  expect(await program.exit).toMatchObject({ signal: "SIGINT" });
});
