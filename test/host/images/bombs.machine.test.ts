import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import zlib from "node:zlib";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { defaultImageLimits } from "../../../provider/host/images/imageLimits";
import { packageRoot } from "../../../provider/host/vm/native";
import { digestOf } from "./testLayout";
import { file, sparseTar, tarOf } from "./testTar";

const gigabytes = 1024 ** 3;
const mebibyte = 1024 ** 2;

let work: string;
let server: Server | undefined;

beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), "bombs-"));
});
afterAll(() => rmSync(work, { recursive: true }));
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

/** A layer that is made as it is sent, and kept nowhere. */
interface StreamedLayer {
  size: number;
  digest: string;
  chunks(): Iterable<Buffer>;
}

function streamed(chunks: () => Iterable<Buffer>): StreamedLayer {
  const hash = createHash("sha256");
  let size = 0;
  for (const chunk of chunks()) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { size, digest: `sha256:${hash.digest("hex")}`, chunks };
}

/** A registry of one image of that layer; returns its reference. */
async function serve(layer: StreamedLayer): Promise<string> {
  const diffId = `sha256:${"0".repeat(64)}`;
  const config = Buffer.from(
    JSON.stringify({ architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [diffId] } }),
  );
  const manifest = JSON.stringify({
    schemaVersion: 2,
    config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: digestOf(config), size: config.length },
    layers: [{ mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: layer.digest, size: layer.size }],
  });
  const started = createServer(async ({ url = "" }, response) => {
    if (url === "/v2/") return void response.end("{}");
    if (url.includes("/manifests/")) return void response.end(manifest);
    if (url.endsWith(digestOf(config))) return void response.end(config);
    for (const chunk of layer.chunks()) {
      if (!response.write(chunk)) await new Promise((resolve) => response.once("drain", resolve));
    }
    response.end();
  });
  server = started;
  await new Promise<void>((resolve) => started.listen(0, "127.0.0.1", resolve));
  return `127.0.0.1:${(started.address() as AddressInfo).port}/bomb:1`;
}

const script = `
  const { createImageStore } = require(process.argv[1]);
  const { readFileSync } = require("node:fs");
  createImageStore({ dataDir: process.argv[2] }).import(process.argv[3]).catch((error) => {
    const [, peak] = /VmHWM:\\s+(\\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"));
    const { code, message, hint } = error;
    console.log(JSON.stringify({ code, message, hint, peakMiB: Math.round(peak / 1024) }));
  });`;

interface Outcome {
  code: string;
  message: string;
  hint: string;
  peakMiB: number;
  /** The most that the data directory took. */
  diskMiB: number;
}

/** Imports in a process of its own with the limits that a host has, and watches what it takes. */
async function refused(reference: string): Promise<Outcome> {
  const dataDir = join(work, "data");
  const images = join(packageRoot(), "dist", "host", "images");
  let diskMiB = 0;
  const watch = setInterval(() => {
    diskMiB = Math.max(diskMiB, Math.ceil(bytesIn(dataDir) / mebibyte));
  }, 100);
  try {
    const { stdout } = await promisify(execFile)(process.execPath, ["-e", script, images, dataDir, reference]);
    const left = execFileSync("find", [dataDir, "-type", "f"]).toString();
    expect(left).toBe("");
    return { ...JSON.parse(stdout), diskMiB };
  } finally {
    clearInterval(watch);
  }
}

function bytesIn(directory: string): number {
  let bytes = 0;
  try {
    for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
      if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name)).blocks * 512;
    }
  } catch {
    // It comes and goes; the next look is soon.
  }
  return bytes;
}

/** The same headers with another number of two digits in their `directory-00`. */
function renumbered(headers: Buffer, number: number): Buffer {
  const copy = Buffer.from(headers);
  const digits = String(number).padStart(2, "0");
  const more = digits.charCodeAt(0) + digits.charCodeAt(1) - 2 * "0".charCodeAt(0);
  for (let at = 0; at < copy.length; at += 512) {
    copy.write(digits, at + "directory-".length, "latin1");
    const sum = Number.parseInt(copy.toString("latin1", at + 148, at + 154), 8) + more;
    copy.write(sum.toString(8).padStart(6, "0"), at + 148, "latin1");
  }
  return copy;
}

it("of ten million entries ends at the limit of entries, with memory and disk for those it allows", async () => {
  const perMember = 100_000;
  const names = Array.from({ length: perMember }, (_, index) => file(`directory-00/file-${index}`, ""));
  const headers = tarOf(names).subarray(0, perMember * 512);
  // Other names until long after the limit; then the last again.
  const members = Array.from({ length: 12 }, (_, number) => zlib.gzipSync(renumbered(headers, number), { level: 1 }));
  const layer = streamed(function* () {
    for (let number = 0; number < 10_000_000 / perMember; number++) yield members[Math.min(number, 11)] as Buffer;
  });
  const outcome = await refused(await serve(layer));
  expect(outcome).toMatchObject({
    code: "ImageInvalid",
    message: expect.stringContaining(`holds more than the allowed ${defaultImageLimits.entries} entries`),
    hint: expect.stringContaining("make the image smaller"),
  });
  // 400 bytes for each entry allowed, and what a process takes anyway; 512 of disk, and the download.
  expect(outcome.peakMiB).toBeLessThan(700);
  expect(outcome.diskMiB).toBeLessThan(600 + layer.size / mebibyte);
});

it.each(["gnu", "pax"] as const)("of a sparse file of 100 GB (%s) ends at its entry", async (format) => {
  const tar = zlib.gzipSync(sparseTar(100 * gigabytes, format));
  const outcome = await refused(await serve(streamed(() => [tar])));
  expect(outcome).toMatchObject({
    code: "ImageInvalid",
    message: expect.stringContaining(`holds files of more than the allowed ${defaultImageLimits.totalBytes} bytes`),
    hint: expect.any(String),
  });
  expect(outcome.peakMiB).toBeLessThan(300);
  expect(outcome.diskMiB).toBeLessThan(10);
});

it("of 100 GB of padding ends soon after the archive's end", async () => {
  const zeros = zlib.gzipSync(Buffer.alloc(gigabytes / 4));
  const layer = streamed(function* () {
    yield zlib.gzipSync(tarOf([file("x")]));
    for (let number = 0; number < 400; number++) yield zeros;
  });
  const outcome = await refused(await serve(layer));
  expect(outcome).toMatchObject({
    code: "ImageInvalid",
    message: expect.stringMatching(/goes on for more than \d+ bytes/),
  });
  expect(outcome.peakMiB).toBeLessThan(300);
});
