import { Duplex } from "node:stream";
import type { SandboxesError } from "../../../client/errors";
import { OutputReadable } from "./output";
import type { GuestStream, StreamEvents } from "./stream";

/** A stream of bytes both ways as Node knows it, and what it wants to hear of its stream in the channel. */
export interface Connection {
  connection: Duplex;
  events: Required<Pick<StreamEvents, "data" | "eof">> & {
    /** The other side has ended everything. */
    over(): void;
    broken(error: SandboxesError): void;
  };
}

/** `stream` is asked for once bytes flow, not before. */
export function createConnection(stream: () => GuestStream): Connection {
  const incoming = new OutputReadable(stream, 0);
  const connection = new Duplex({
    // The other side may go on to send after we have ended, as with any TCP connection.
    allowHalfOpen: true,
    // What nobody reads waits in `incoming`.
    readableHighWaterMark: 1,
    read: () => incoming.resume(),
    write: (chunk: Buffer, _encoding, done) => stream().send(chunk, () => done()),
    final: (done) => {
      stream().sendEof();
      done();
    },
    destroy: (error, done) => {
      // After a clean end what is still under way to a slow reader must arrive; the guest says END when it has.
      if (!connection.writableFinished || !connection.readableEnded) stream().reset();
      incoming.destroy();
      done(error);
    },
  });
  connection.on("error", () => {}); // a reset connection is no reason to end the process of a careless reader
  incoming.pause();
  incoming.on("data", (bytes: Buffer) => {
    if (!connection.push(bytes)) incoming.pause();
  });
  incoming.on("end", () => connection.push(null));
  return {
    connection,
    events: {
      data: (_output, bytes) => incoming.accept(bytes),
      eof: () => incoming.complete(),
      over: () => incoming.complete(),
      broken: (error) => void connection.destroy(error),
    },
  };
}
