import type { Duplex } from "node:stream";
import { SandboxesError } from "../../../client/errors";
import type { CallOptions } from "../guestAgent";
import type { GuestChannel } from "./channel";
import { createConnection } from "./connection";
import { failureOf } from "./failures";
import { FieldWriter } from "./fields";
import { tag } from "./protocol";
import type { GuestStream } from "./stream";

/** A TCP connection to a port in the guest; see `GuestAgent.connectPort`. */
export function connectPort(channel: GuestChannel, port: number, { signal }: CallOptions = {}): Promise<Duplex> {
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new SandboxesError("Invalid", `Connecting to port "${port}" of the guest: it is not a port`, {
      field: "port",
    });
  }
  signal?.throwIfAborted();
  return new Promise<Duplex>((resolve, reject) => {
    let stream!: GuestStream;
    const { connection, events } = createConnection(() => stream);
    const abort = () => fail(signal?.reason);
    const fail = (error: SandboxesError) => {
      signal?.removeEventListener("abort", abort);
      reject(error);
      events.broken(error);
    };
    stream = channel.open("connect", new FieldWriter().number(tag.port, port), {
      data: events.data,
      eof: events.eof,
      opened: () => {
        signal?.removeEventListener("abort", abort);
        resolve(connection);
      },
      ended: (fields) => {
        const failure = failureOf(fields, `Connecting to port ${port} of the guest`);
        if (failure) fail(failure);
        else events.over();
      },
      lost: fail,
    });
    signal?.addEventListener("abort", abort);
  });
}
