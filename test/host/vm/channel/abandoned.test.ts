import { readFileSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connectGuestAgent } from "../../../../provider/host/vm/channel";
import type { ExecRequest, GuestAgent } from "../../../../provider/host/vm/guestAgent";
import { type AgentProcess, processesWith, run, startAgent, uniqueSeconds, until } from "./agentProcess";

const env = { PATH: "/usr/bin:/bin" };
let process_: AgentProcess;

beforeEach(async () => {
  process_ = await startAgent();
});

afterEach(async () => {
  await process_.stop();
});

/** A program that runs until it is killed, and its mark. */
async function start(agent: GuestAgent, options: Partial<ExecRequest> = {}): Promise<string> {
  const mark = uniqueSeconds();
  const started = await agent.exec({ argv: ["sleep", mark], env, ...options });
  started.exit.catch(() => undefined);
  await until(() => processesWith(mark).length > 0);
  return mark;
}

/** As a host that comes back to a saved machine. */
async function comeBack(): Promise<GuestAgent> {
  return connectGuestAgent(await process_.open(), { helloTimeoutMs: 60_000, keepPrograms: true });
}

test("every program goes on for a host that asks for it, its terminal and input as they were", async () => {
  const first = await process_.connect();
  const plain = await start(first);
  const withInput = uniqueSeconds();
  const reading = await first.exec({
    argv: ["sh", "-c", `sleep ${withInput} & cat; sleep ${withInput}`],
    env,
    stdin: true,
  });
  reading.exit.catch(() => undefined);
  const terminal = await start(first, { tty: { columns: 80, rows: 24 } });
  await until(() => processesWith(withInput).length > 0);
  const second = await comeBack();
  expect((await run(second, ["echo", "hi"], { env })).stdout).toBe("hi\n");
  for (const mark of [plain, withInput, terminal]) expect(processesWith(mark)).toHaveLength(1);
  const third = await comeBack();
  for (const mark of [plain, withInput, terminal]) expect(processesWith(mark)).toHaveLength(1);
  third.close();
});

test("what an abandoned program prints is dropped, so that it does not stand still", async () => {
  const first = await process_.connect();
  const mark = `${process_.folder}/written`;
  // Ten times what a pipe and a window hold together.
  const script = `head -c 5000000 /dev/zero; head -c 5000000 /dev/zero >&2; echo done > ${mark}`;
  const started = await first.exec({ argv: ["sh", "-c", script], env });
  started.exit.catch(() => undefined);
  const second = await comeBack();
  await until(() => readSafely(mark) === "done\n");
  expect((await run(second, ["echo", "alive"], { env })).stdout).toBe("alive\n");
  second.close();
});

test("an abandoned program's time limit still holds", async () => {
  // On a busy machine it may be over before anybody has come back: then the next one has more time.
  for (let timeoutMs = 400, wasAbandoned = false; !wasAbandoned; timeoutMs *= 2) {
    const mark = uniqueSeconds();
    const started = await (await process_.connect()).exec({ argv: ["sleep", mark], env, timeoutMs });
    started.exit.catch(() => undefined);
    const second = await comeBack();
    wasAbandoned = processesWith(mark).length === 1;
    await until(() => processesWith(mark).length === 0);
    second.close();
  }
});

test("only a host that asks for it keeps programs", async () => {
  const first = await process_.connect();
  const mark = await start(first);
  const second = await process_.connect();
  await until(() => processesWith(mark).length === 0);
  second.close();
});

function readSafely(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // not yet
  }
}
