import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { openQmp } from "../../../provider/host/vm/qemu/qmp";

let cleanUp = () => {};
afterEach(() => cleanUp());

/** The other end of a control channel, answering as the test says. */
async function monitor(
  answer: (request: { execute: string; id: number }) => object | undefined,
  answerLimitMs = 60_000,
) {
  const folder = mkdtempSync(join(tmpdir(), "qmp-"));
  const server = createServer();
  await once(server.listen(join(folder, "qmp.sock")), "listening");
  const ours = connect(join(folder, "qmp.sock"));
  const [theirs] = (await once(server, "connection")) as [Socket];
  cleanUp = () => {
    for (const each of [ours, theirs]) each.destroy();
    server.close();
    rmSync(folder, { recursive: true });
  };
  theirs.on("data", (chunk) => {
    for (const line of chunk.toString().trim().split("\n")) {
      const reply = answer(JSON.parse(line));
      if (reply) theirs.write(`${JSON.stringify(reply)}\n`);
    }
  });
  return { qmp: openQmp(ours, answerLimitMs), theirs };
}

test("an answer finds its command, a refusal becomes an error", async () => {
  const { qmp } = await monitor(({ execute, id }) =>
    execute === "good" ? { return: 7, id } : { error: { class: "GenericError", desc: "no such command" }, id },
  );
  expect(await Promise.all([qmp.execute("good"), qmp.execute("good")])).toEqual([7, 7]);
  await expect(qmp.execute("bad")).rejects.toThrow("QEMU refused: no such command");
  qmp.close();
});

test("QEMU that does not answer is given up: every call ends, with the reason", async () => {
  const { qmp } = await monitor(({ execute, id }) => (execute === "answered" ? { return: {}, id } : undefined), 2000);
  await qmp.execute("answered");
  const calls = [qmp.execute("stop"), qmp.execute("cont"), qmp.waitFor("MIGRATION", () => true)];
  const reason = /QEMU did not answer "stop" within 2000 ms/;
  const lost = { code: "GuestFailed", message: expect.stringMatching(reason) };
  expect(await Promise.allSettled(calls)).toMatchObject(calls.map(() => ({ status: "rejected", reason: lost })));
  expect(await qmp.closed).toMatch(reason);
  await expect(qmp.execute("stop")).rejects.toMatchObject({ code: "GuestFailed" });
});

test("QEMU that is gone ends every call", async () => {
  const { qmp, theirs } = await monitor(() => undefined);
  const pending = qmp.execute("stop");
  theirs.destroy();
  await expect(pending).rejects.toMatchObject({ code: "GuestFailed" });
  expect(await qmp.closed).toBeUndefined();
});

test("what is no answer at all ends the channel", async () => {
  const { qmp, theirs } = await monitor(() => undefined);
  const pending = qmp.execute("stop");
  theirs.write("not JSON\n");
  await expect(pending).rejects.toMatchObject({ code: "GuestFailed" });
});
