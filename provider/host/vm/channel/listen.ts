import type { Duplex } from "node:stream";
import { SandboxesError } from "../../../client/errors";
import type { CallOptions, GuestListener } from "../guestAgent";
import type { AttachStream, GuestChannel } from "./channel";
import { createConnection } from "./connection";
import { failureOf } from "./failures";
import { FieldWriter } from "./fields";
import { tag } from "./protocol";
import type { GuestStream, StreamEvents } from "./stream";

/** Has the guest listen on its loopback; see `GuestAgent.listen`. */
export function listen(
  channel: GuestChannel,
  port: number,
  onConnection: (connection: Duplex) => void,
  { signal }: CallOptions = {},
): Promise<GuestListener> {
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new SandboxesError("Invalid", `Listening on port "${port}" of the guest: it is not a port`, {
      field: "port",
    });
  }
  signal?.throwIfAborted();
  return new Promise<GuestListener>((resolve, reject) => {
    let close!: () => void;
    const abort = () => {
      close();
      reject(signal?.reason);
    };
    const settled = () => signal?.removeEventListener("abort", abort);
    const events: StreamEvents = {
      opened: (fields) => {
        settled();
        resolve({ port: fields.requiredNumber(tag.port), close: () => close() });
      },
      ended: (fields) => {
        settled();
        const action = `Listening on port ${port} of the guest`;
        reject(failureOf(fields, action) ?? new SandboxesError("GuestFailed", `${action}: it ended`));
      },
      lost: (error) => {
        settled();
        reject(error);
      },
    };
    const arrived = (attach: AttachStream) => onConnection(arrivedConnection(attach));
    close = channel.openListener(new FieldWriter().number(tag.port, port), events, arrived);
    signal?.addEventListener("abort", abort);
  });
}

function arrivedConnection(attach: AttachStream): Duplex {
  const { connection, events } = createConnection(() => stream);
  const stream: GuestStream = attach({
    data: events.data,
    eof: events.eof,
    ended: events.over,
    lost: events.broken,
  });
  return connection;
}
