import { afterEach, beforeEach, expect, test } from "vitest";
import { connectGuestAgent } from "../../../../provider/host/vm/channel";
import { encodeFrame } from "../../../../provider/host/vm/channel/frames";
import { frameType } from "../../../../provider/host/vm/channel/protocol";
import { type AgentProcess, chunksOf, processesWith, shell, startAgent, uniqueSeconds, until } from "./agentProcess";

const env = { PATH: "/usr/bin:/bin" };
let process_: AgentProcess;

beforeEach(async () => {
  process_ = await startAgent();
});
afterEach(async () => {
  await process_.stop();
});

test("a new host ends what ran for the old one, and keeps what finished calls left behind", async () => {
  const [running, left] = [uniqueSeconds(), uniqueSeconds()];
  const socket = await process_.open();
  const first = await connectGuestAgent(socket, { helloTimeoutMs: 60_000 });
  await shell(first, `setsid sleep ${left} >/dev/null 2>&1 &`);
  await until(() => processesWith(left).length > 0);
  const argv = ["/bin/sh", "-c", `trap '' TERM; sleep ${running} & sleep ${running}`];
  const program = await first.exec({ argv, env });
  await until(() => processesWith(running).length >= 2);
  socket.destroy();
  await expect(program.exit).rejects.toMatchObject({ code: "GuestFailed" });

  const second = await process_.connect();
  await until(() => processesWith(running).length === 0);
  expect(processesWith(left).length).toBeGreaterThan(0);
  expect((await shell(second, "echo works")).stdout).toBe("works\n");
  for (const pid of processesWith(left)) process.kill(pid, "SIGKILL");
  second.close();
});

test("a host that was cut off in the middle of a frame does not disturb the next one", async () => {
  const socket = await process_.open();
  await connectGuestAgent(socket, { helloTimeoutMs: 60_000 });
  socket.write(encodeFrame(2, frameType.open, Buffer.alloc(60_000)).subarray(0, 777));
  const second = await process_.connect();
  expect((await shell(second, "echo works")).stdout).toBe("works\n");
  second.close();
  socket.destroy();
});

test("closing ends what ran, and later calls fail", async () => {
  const seconds = uniqueSeconds();
  const agent = await process_.connect();
  const program = await agent.exec({ argv: ["/bin/sleep", seconds], env });
  agent.close();
  await expect(program.exit).rejects.toMatchObject({ code: "GuestFailed" });
  expect(await agent.closed).toMatchObject({ code: "GuestFailed" });
  await expect(agent.ping()).rejects.toMatchObject({ code: "GuestFailed" });
  await expect(agent.stat("/")).rejects.toMatchObject({ code: "GuestFailed" });
  await expect(agent.writeFile("/x", chunksOf("x"))).rejects.toMatchObject({ code: "GuestFailed" });
  await until(() => processesWith(seconds).length === 0);
});

test("when the guest vanishes every pending call fails with GuestFailed", async () => {
  const agent = await process_.connect();
  const program = await agent.exec({ argv: ["/bin/sleep", "97"], env, stdin: true });
  const source = async function* () {
    yield Buffer.from("first");
    await new Promise(() => {});
  };
  const calls = [program.exit, agent.writeFile(`${process_.folder}/never`, source())];
  await until(() => processesWith("97").length > 0);
  process.kill(process_.pid, "SIGTERM");
  for (const call of calls) await expect(call).rejects.toMatchObject({ code: "GuestFailed" });
  expect(program.stdout.destroyed).toBe(true);
  expect(await agent.closed).toMatchObject({ code: "GuestFailed" });
});

test("an agent outside of a machine acknowledges an identity and leaves the machine alone", async () => {
  const agent = await process_.connect();
  const before = (await shell(agent, "hostname; cat /etc/machine-id /proc/sys/kernel/random/boot_id 2>/dev/null"))
    .stdout;
  await agent.refresh({ hostname: "other", machineId: "0".repeat(32), entropy: Buffer.alloc(32), clockMs: 0 });
  const after = (await shell(agent, "hostname; cat /etc/machine-id /proc/sys/kernel/random/boot_id 2>/dev/null"))
    .stdout;
  expect(after).toBe(before);
  agent.close();
});
