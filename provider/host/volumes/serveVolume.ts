import type { Duplex } from "node:stream";
import { SandboxesError } from "../../client/errors";
import type { HostLog } from "../services/hostLog";
import { errnoOf, FileSystemError } from "./fileSystemError";
import { bodyFor, type VolumeMount } from "./fuseAnswers";
import { answer, maxMessageBytes, questionHeaderBytes, readQuestion, refusal } from "./fuseMessages";

/**
 * Answers a guest's kernel until the stream ends. The guest is hostile: lengths are checked before anything is kept,
 * and whatever it asks becomes an answer or a refusal. Never rejects; a breach of the protocol ends the stream.
 */
export async function serveVolume(mount: VolumeMount, stream: Duplex, log: HostLog): Promise<void> {
  try {
    for await (const message of messages(stream)) {
      const reply = await mount.files.run(() => replyTo(mount, message, log));
      await new Promise<void>((resolve, reject) => {
        stream.write(reply, (error) => (error ? reject(error) : resolve()));
      });
    }
  } catch (error) {
    // The guest is gone, or has broken off; it may come back with the same questions.
    if (error instanceof SandboxesError && error.code !== "GuestFailed") {
      log.warn({ mount: mount.id, error: error.message }, "a guest broke the protocol of its volume");
    }
  } finally {
    stream.destroy();
  }
}

async function replyTo(mount: VolumeMount, message: Buffer, log: HostLog): Promise<Buffer> {
  const asked = readQuestion(message);
  if (!asked) throw new SandboxesError("Invalid", "a number is too large");
  try {
    return answer(asked.number, await bodyFor(mount, asked));
  } catch (error) {
    if (!(error instanceof FileSystemError) && !(error instanceof RangeError)) {
      log.warn({ mount: mount.id, kind: asked.kind, error: String(error) }, "a volume could not answer");
    }
    // A body that is too short for its kind reads beyond its end.
    return refusal(asked.number, errnoOf(error instanceof RangeError ? new FileSystemError("EINVAL") : error));
  }
}

/** Each begins with its length. */
async function* messages(stream: Duplex): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= 4) {
      const length = rest.readUInt32LE(0);
      if (length < questionHeaderBytes || length > maxMessageBytes) {
        throw new SandboxesError("Invalid", `a message has ${length} bytes`);
      }
      if (rest.length < length) break;
      yield rest.subarray(0, length);
      rest = rest.subarray(length);
    }
  }
}
