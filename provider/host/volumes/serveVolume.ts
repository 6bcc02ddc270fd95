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

/** Each begins with its length. Bytes are joined once for each message: a guest may send them one by one. */
async function* messages(stream: Duplex): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let held = 0;
  let wanted = 4;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    parts.push(chunk);
    held += chunk.length;
    while (held >= wanted) {
      const bytes = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
      const length = bytes.readUInt32LE(0);
      if (length < questionHeaderBytes || length > maxMessageBytes) {
        throw new SandboxesError("Invalid", `a message has ${length} bytes`);
      }
      const isWhole = held >= length;
      if (isWhole) yield bytes.subarray(0, length);
      parts = [isWhole ? bytes.subarray(length) : bytes];
      held = parts[0]?.length ?? 0;
      wanted = isWhole ? 4 : length;
    }
  }
}
