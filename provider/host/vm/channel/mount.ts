import type { Duplex } from "node:stream";
import { isSandboxesError, SandboxesError } from "../../../client/errors";
import type { CallOptions, MountRequest } from "../guestAgent";
import type { GuestChannel } from "./channel";
import { createConnection } from "./connection";
import { failureOf } from "./failures";
import { FieldWriter } from "./fields";
import { tag } from "./protocol";
import type { GuestStream } from "./stream";

/** Mounts a volume in the guest, or takes up one that is mounted; see `GuestAgent.mount`. */
export function mount(channel: GuestChannel, request: MountRequest, { signal }: CallOptions = {}): Promise<Duplex> {
  signal?.throwIfAborted();
  const { name, path, readOnly } = request;
  const fields = new FieldWriter().bytes(tag.name, name).bytes(tag.path, path).flag(tag.readOnly, readOnly);
  return new Promise<Duplex>((resolve, reject) => {
    let stream!: GuestStream;
    const { connection, events } = createConnection(() => stream);
    const abort = () => fail(signal?.reason);
    const fail = (error: SandboxesError) => {
      signal?.removeEventListener("abort", abort);
      reject(error);
      events.broken(error);
    };
    stream = channel.open("mount", fields, {
      data: events.data,
      eof: events.eof,
      opened: () => {
        signal?.removeEventListener("abort", abort);
        resolve(connection);
      },
      ended: (answer) => {
        const failure = failureOf(answer, `Mounting a volume at "${path}" in the guest`);
        if (failure) fail(explained(failure));
        else events.over();
      },
      lost: fail,
    });
    signal?.addEventListener("abort", abort);
  });
}

/** The device is what may not exist; directories are made. */
function explained(failure: SandboxesError): SandboxesError {
  if (!isSandboxesError(failure, "FileNotFound")) return failure;
  return new SandboxesError("Unsupported", "Cannot mount volumes: the sandbox's kernel has no FUSE", {
    cause: failure,
  });
}
