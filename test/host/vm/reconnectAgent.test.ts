import { Socket } from "node:net";
import { expect, test } from "vitest";
import { SandboxesError } from "../../../provider/client/errors";
import type { ConnectAgent } from "../../../provider/host/vm/connectAgent";
import type { QemuProcess } from "../../../provider/host/vm/qemu/qemuProcess";
import { reconnectAgent } from "../../../provider/host/vm/qemu/reconnectAgent";
import { unconnectedAgent } from "../../../provider/host/vm/unconnectedAgent";

/** A QEMU that is reached, and how often; `ended` says that it is gone. */
function machine(ended: Promise<undefined> = new Promise(() => {})) {
  const sockets: Socket[] = [];
  const connectAgentSocket = async () => {
    const socket = new Socket();
    sockets.push(socket);
    return socket;
  };
  // What else there is of one is not asked.
  const qemu = { qmp: { closed: ended }, connectAgentSocket } as unknown as QemuProcess;
  return { sockets, qemu };
}

const silent = () => new SandboxesError("GuestFailed", "no answer");

test("a guest that does not answer is asked again over a new connection, each time for longer", async () => {
  const { sockets, qemu } = machine();
  const limits: number[] = [];
  const connect: ConnectAgent = async (socket, { helloTimeoutMs }) => {
    limits.push(helloTimeoutMs);
    expect(socket).toBe(sockets.at(-1));
    if (limits.length < 3) throw silent();
    return unconnectedAgent;
  };
  expect(await reconnectAgent(qemu, connect)).toBe(unconnectedAgent);
  expect(sockets).toHaveLength(3);
  expect(limits).toEqual([1_000, 2_000, 4_000]);
});

test("a guest whose machine has ended is not waited for", async () => {
  const { sockets, qemu } = machine(Promise.resolve(undefined));
  const connect: ConnectAgent = () => Promise.reject(silent());
  await expect(reconnectAgent(qemu, connect)).rejects.toThrow("no answer");
  expect(sockets).toHaveLength(1);
});
