import { Duplex } from "node:stream";
import { SandboxesError } from "../../../client/errors";
import type { GuestChannel } from "./channel";
import { failureOf } from "./failures";
import { FieldWriter } from "./fields";
import { OutputReadable } from "./output";
import { tag } from "./protocol";
import type { GuestStream } from "./stream";

/** A TCP connection to a port in the guest; see `GuestAgent.connectPort`. */
export function connectPort(channel: GuestChannel, port: number): Promise<Duplex> {
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new SandboxesError("Invalid", `Connecting to port "${port}" of the guest: it is not a port`, {
      field: "port",
    });
  }
  return new Promise<Duplex>((resolve, reject) => {
    let stream!: GuestStream;
    const incoming = new OutputReadable(() => stream, 0);
    const connection = new Duplex({
      // The other side may go on to send after we have ended, as with any TCP connection.
      allowHalfOpen: true,
      read: () => incoming.resume(),
      write: (chunk: Buffer, _encoding, done) => stream.send(chunk, () => done()),
      final: (done) => {
        stream.sendEof();
        done();
      },
      destroy: (error, done) => {
        stream.reset();
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
    const fail = (error: SandboxesError) => {
      reject(error);
      connection.destroy(error);
    };
    stream = channel.open("connect", new FieldWriter().number(tag.port, port), {
      opened: () => resolve(connection),
      data: (_output, bytes) => incoming.accept(bytes),
      eof: () => incoming.complete(),
      ended: (fields) => {
        const failure = failureOf(fields, `Connecting to port ${port} of the guest`);
        if (failure) fail(failure);
        else incoming.complete();
      },
      lost: fail,
    });
  });
}
