import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { GuestAgent } from "../../../../provider/host/vm/guestAgent";
import type {
  BackgroundOutput,
  BackgroundRequest,
  BackgroundState,
} from "../../../../provider/host/vm/guestBackground";
import {
  type AgentProcess,
  hasControlGroups,
  peakMemoryKiB,
  processesWith,
  startAgent,
  uniqueSeconds,
  until,
} from "./agentProcess";

const env = { PATH: "/usr/bin:/bin" };
let agentProcess: AgentProcess;
let agent: GuestAgent;

beforeEach(async () => {
  agentProcess = await startAgent();
  agent = await agentProcess.connect();
});

afterEach(async () => {
  agent.close();
  await agentProcess.stop();
});

const start = (name: string, script: string, options: Partial<BackgroundRequest> = {}) =>
  agent.background.start(name, { argv: ["/bin/sh", "-c", script], env, ...options });

/** All that it printed from a place on, once it has ended. */
async function whole(name: string, from = 0): Promise<BackgroundOutput> {
  const found: BackgroundOutput = await agent.background.read(name, from, { wait: true });
  while (!found.state.ended || found.next < found.state.outputEnd) {
    const more = await agent.background.read(name, found.next, { wait: true });
    expect(more.from).toBe(found.next);
    found.parts.push(...more.parts);
    found.next = more.next;
    found.state = more.state;
  }
  return found;
}

/** Its state once it has ended. */
async function ended(name: string): Promise<BackgroundState> {
  let { state } = await agent.background.read(name, 0, { wait: true });
  while (!state.ended) state = (await agent.background.read(name, state.outputEnd, { wait: true })).state;
  return state;
}

const said = ({ parts }: BackgroundOutput, stream = "stdout") =>
  Buffer.concat(parts.filter((part) => part.stream === stream).map(({ data }) => data)).toString("latin1");

describe("a program in the background", () => {
  test("is known by its name, with what it prints, both outputs in their order, and how it ended", async () => {
    const before = Date.now();
    const started = await start("build", "echo one; sleep 0.1; echo two >&2; sleep 0.1; echo three; exit 7");
    expect(started).toMatchObject({ name: "build", command: ["/bin/sh", "-c", expect.stringContaining("echo one")] });
    expect(Math.abs(started.startedMs - before)).toBeLessThan(60_000);
    const output = await whole("build");
    expect(output.parts.map(({ stream, data }) => `${stream}: ${data}`)).toEqual([
      "stdout: one\n",
      "stderr: two\n",
      "stdout: three\n",
    ]);
    const ended = { exitCode: 7, signal: null, timedOut: false, durationMs: expect.any(Number) };
    expect(output.state).toMatchObject({ outputStart: 0, outputEnd: 14, ended });
    // Kept after its end, for everybody who asks.
    expect(await agent.background.list()).toMatchObject([{ name: "build", ended }]);
    expect(said(await agent.background.read("build", 4))).toBe("three\n");
  });

  test("goes on when its host leaves, and another one finds it", async () => {
    const mark = uniqueSeconds();
    await start("server", `echo before; sleep ${mark}; echo after`);
    await until(() => processesWith(mark).length > 0);
    agent.close();
    agent = await agentProcess.connect();
    expect(await agent.background.list()).toMatchObject([{ name: "server" }]);
    expect((await agent.background.list())[0]?.ended).toBeUndefined();
    for (const pid of processesWith(mark)) process.kill(pid, "SIGKILL");
    expect(said(await whole("server"))).toContain("before\nafter\n");
  });

  test("is started once, however often that is asked for", async () => {
    const file = `${agentProcess.folder}/starts`;
    const states = await Promise.all([1, 2, 3].map(() => start("once", `echo x >> ${file}; cat ${file}; sleep 60`)));
    expect(new Set(states.map(({ startedMs }) => startedMs)).size).toBe(1);
    expect(said(await agent.background.read("once", 0, { wait: true }))).toBe("x\n");
  });

  test("that cannot be started leaves nothing, and its name is free", async () => {
    const refusal = agent.background.start("wrong", { argv: ["/not/there"], env });
    await expect(refusal).rejects.toMatchObject({ code: "ExecFailed" });
    await expect(start("wrong", "true", { cwd: "/not/there" })).rejects.toMatchObject({ code: "ExecFailed" });
    await expect(start("wrong", "true", { user: "nobody-knows" })).rejects.toMatchObject({ code: "ExecFailed" });
    expect(await agent.background.list()).toEqual([]);
    await start("wrong", "true");
  });

  test("reads nothing, and has the environment, directory and user that were asked for", async () => {
    const { folder } = agentProcess;
    await start("asks", "cat; pwd; echo $COLOUR; id -u", { env: { ...env, COLOUR: "red" }, cwd: folder, user: "0" });
    expect(said(await whole("asks"))).toBe(`${folder}\nred\n0\n`);
  });

  test("never waits for a reader: the newest is kept, what was dropped can be told to the byte", async () => {
    const count = 3_000_000;
    await start("loud", `yes | head -c ${count}; printf 'the end'`);
    const { outputStart, outputEnd } = await ended("loud");
    expect(outputEnd).toBe(count + 7);
    const kept = outputEnd - outputStart;
    expect(kept).toBeLessThanOrEqual(256 * 1024);
    expect(kept).toBeGreaterThan(220 * 1024);
    const output = await whole("loud");
    expect(output.from).toBe(outputStart);
    expect(said(output)).toMatch(/^\n?(?:y\n)+the end$/);
    expect(said(output)).toHaveLength(kept);
  });

  test("prints bytes of every kind", async () => {
    const bytes = Array.from({ length: 256 }, (_, byte) => byte);
    const octal = bytes.map((byte) => `\\0${byte.toString(8).padStart(3, "0")}`).join("");
    await agent.background.start("binary", { argv: ["/usr/bin/printf", "%b", octal], env });
    expect([...Buffer.from(said(await whole("binary")), "latin1")]).toEqual(bytes);
  });

  test("loses nothing when it prints byte by byte, now here, now there", async () => {
    await start("alternating", "i=0; while [ $i -lt 2000 ]; do echo; echo >&2; i=$((i + 1)); done");
    const output = await whole("alternating");
    expect([output.from, said(output).length, said(output, "stderr").length]).toEqual([0, 2000, 2000]);
  });

  test("ends with all that it left, at its time limit or when it is removed", async () => {
    const marks = [uniqueSeconds(), uniqueSeconds()] as const;
    // Daemons: in a session of their own, their parents gone.
    const script = (mark: string) => `setsid sh -c 'sleep ${mark} & sleep ${mark}' & sleep ${mark}`;
    await start("limited", script(marks[0]), { timeoutMs: 700 });
    await start("removed", script(marks[1]));
    await until(() => marks.every((mark) => processesWith(mark).length >= 3));
    const { state } = await whole("limited");
    expect(state.ended).toMatchObject({ exitCode: null, signal: "SIGKILL", timedOut: true });
    await agent.background.remove("removed");
    if (hasControlGroups(agentProcess)) await until(() => marks.every((mark) => processesWith(mark).length === 0));
    expect((await agent.background.list()).map(({ name }) => name)).toEqual(["limited"]);
    await expect(agent.background.remove("removed")).rejects.toMatchObject({ code: "ProcessNotFound" });
    for (const pid of marks.flatMap((mark) => processesWith(mark))) process.kill(pid, "SIGKILL");
  });

  test("hears signals", async () => {
    const script = "trap 'echo told; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    await start("listener", script);
    await agent.background.read("listener", 0, { wait: true });
    await agent.background.kill("listener", "SIGTERM");
    const output = await whole("listener");
    expect([said(output), output.state.ended?.exitCode]).toEqual(["ready\ntold\n", 3]);
    await agent.background.kill("listener", "SIGTERM"); // It has ended: nothing happens.
    await expect(agent.background.kill("listener", "SIGWHAT")).rejects.toMatchObject({ code: "Invalid" });
  });

  test("that is not known is told so, by every call", async () => {
    const { background } = agent;
    const calls = [
      background.read("nobody", 0),
      background.read("nobody", 0, { wait: true }),
      background.kill("nobody", "SIGTERM"),
      background.remove("nobody"),
    ];
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: "ProcessNotFound" });
  });

  test("whoever waits for it and gives up disturbs nobody else", async () => {
    await start("quiet", "sleep 60");
    const leaver = agent.background.read("quiet", 0, { wait: true, signal: AbortSignal.timeout(50) });
    await expect(leaver).rejects.toThrow();
    const stayer = agent.background.read("quiet", 0, { wait: true });
    await agent.background.kill("quiet", "SIGKILL");
    expect((await stayer).state.ended).toMatchObject({ signal: "SIGKILL" });
  });

  test("and its waiting readers end together when it is removed", async () => {
    await start("gone", "sleep 60");
    const reader = agent.background.read("gone", 0, { wait: true }).catch((error: unknown) => error);
    await agent.background.remove("gone");
    // It may have heard of the end first.
    expect(await reader).toSatisfy(
      (found: BackgroundOutput | { code: string }) => "code" in found || found.state.ended !== undefined,
    );
  });
});

describe("64 programs", () => {
  test("are known at a time: the oldest that has ended makes room, one that runs does not", async () => {
    await start("first", "sleep 60");
    await start("second", "echo kept");
    await whole("second");
    for (let index = 2; index < 64; index++) await start(`n${index}`, "sleep 60");
    await start("late", "sleep 60");
    const names = (await agent.background.list()).map(({ name }) => name);
    expect(names).toHaveLength(64);
    expect(names).not.toContain("second");
    expect(names).toContain("first");
    await expect(start("too-late", "true")).rejects.toMatchObject({ code: "CapacityExceeded" });
    await expect(agent.background.read("second", 0)).rejects.toMatchObject({ code: "ProcessNotFound" });
    await Promise.all(
      names
        .concat("late")
        .filter((name, index, all) => all.indexOf(name) === index)
        .map((name) => agent.background.remove(name)),
    );
    expect(await agent.background.list()).toEqual([]);
  });

  test("that print without end cost the agent what it keeps of them, no more", async () => {
    for (let index = 0; index < 16; index++) await start(`n${index}`, "head -c 2000000 /dev/zero");
    for (let index = 0; index < 16; index++) expect((await ended(`n${index}`)).outputEnd).toBe(2_000_000);
    expect(peakMemoryKiB(agentProcess.pid)).toBeLessThan((16 * 256 + 4096) * 1.3);
  });
});
