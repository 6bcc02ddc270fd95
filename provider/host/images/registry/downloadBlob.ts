import { existsSync } from "node:fs";
import { SandboxesError } from "../../../client/errors";
import type { Descriptor } from "../ociDocuments";
import type { SourceAccess } from "../sourceAccess";
import { PartialBlob } from "./partialBlob";
import type { RegistryClient } from "./registryClient";
import { connectionError, PassingFailure } from "./registryError";
import { pauseAfter } from "./retries";
import { StallWatch } from "./stallWatch";

/** A try that brought this much counts as none that failed: a line that breaks now and then needs many. */
const worthwhileBytes = 1024 * 1024;

export interface BlobDownload {
  what: string;
  registry: RegistryClient;
  access: SourceAccess;
  /** Told of each piece; negative when a blob starts anew. */
  onBytes(count: number): void;
}

/**
 * Brings a blob into a file and verifies it. After a cut or a stall it goes on where it was, or starts anew where the
 * registry cannot, until too many tries in a row have brought nothing. A file of that name is taken for the blob.
 */
export async function downloadBlob(path: string, blob: Descriptor, download: BlobDownload): Promise<void> {
  const { what, access, onBytes } = download;
  const { limits, signal, progress } = access;
  if (existsSync(path)) return onBytes(blob.size);
  const part = await PartialBlob.open(path, blob.size);
  onBytes(part.size);
  try {
    for (let failures = 0; ; ) {
      const before = part.size;
      try {
        await fetchRest(part, blob, download);
        if (part.digest === blob.digest) return await part.finish();
        // Two halves of different blobs, perhaps; of one piece it would be the same again.
        const isOfOnePiece = before === 0;
        await startAnew(part, onBytes);
        if (isOfOnePiece) throw otherBlob(what, blob);
        throw new PassingFailure(otherBlob(what, blob).message);
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof PassingFailure)) throw error;
        failures = part.size - before >= worthwhileBytes ? 1 : failures + 1;
        if (failures >= limits.tries) throw error;
        progress(`${error.message}; trying again from byte ${part.size}`);
        await pauseAfter(failures, error, limits, signal);
      }
    }
  } catch (error) {
    // Only a registry that may be back later is worth what is there.
    if (!(error instanceof PassingFailure) && !signal.aborted) await part.discard();
    throw error;
  } finally {
    await part.close();
  }
}

async function fetchRest(part: PartialBlob, blob: Descriptor, download: BlobDownload): Promise<void> {
  const { what, registry, access, onBytes } = download;
  if (part.size === blob.size && part.size > 0) return;
  const watch = new StallWatch(access.limits.stallMs);
  const signal = AbortSignal.any([access.signal, watch.signal]);
  const headers: Record<string, string> = part.size > 0 ? { range: `bytes=${part.size}-` } : {};
  try {
    const answer = await registry.get(`blobs/${blob.digest}`, { headers, signal, wanted: [200, 206, 416] });
    const isContinued = answer.status === 206 && startOf(answer.headers["content-range"]) === part.size;
    if (!isContinued && part.size > 0) await startAnew(part, onBytes);
    if (answer.status !== 200 && !isContinued) {
      answer.body.on("error", () => undefined).destroy();
      throw new PassingFailure(`image ${what}: the registry answered with another range`);
    }
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      if (part.size + chunk.length > blob.size) throw otherBlob(what, blob, "is longer than it announced");
      await part.append(chunk);
      watch.note(chunk.length);
      onBytes(chunk.length);
    }
    if (part.size < blob.size) throw new PassingFailure(`image ${what}: the registry stopped half-way`);
  } catch (error) {
    access.signal.throwIfAborted();
    if (!watch.signal.aborted) throw connectionError(what, error);
    throw new PassingFailure(`image ${what}: nothing more came for ${access.limits.stallMs / 1000} s`);
  } finally {
    watch.stop();
  }
}

async function startAnew(part: PartialBlob, onBytes: (count: number) => void): Promise<void> {
  onBytes(-part.size);
  await part.startAnew();
}

/** `bytes 100-199/200` */
function startOf(contentRange: string | string[] | undefined): number | undefined {
  const [, start] = /^bytes (\d+)-/.exec(String(contentRange)) ?? [];
  return start === undefined ? undefined : Number(start);
}

function otherBlob(what: string, { digest }: Descriptor, how = "is something else than it announced"): SandboxesError {
  return new SandboxesError("RegistryFailed", `image ${what}: what the registry sent for ${digest} ${how}`);
}
