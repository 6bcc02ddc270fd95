import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { hashFile } from "../../../provider/host/images/hashFile";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sandboxes-hash-"));
});

afterAll(() => rm(folder, { recursive: true }));

const mib = 2 ** 20;

it.each([0, 1, mib - 1, mib, mib + 1, 2 * mib, 3 * mib + 7])("tells digest and size of %i bytes", async (size) => {
  const path = join(folder, `${size}`);
  const content = randomBytes(size);
  await writeFile(path, content);
  const digest = `sha256:${createHash("sha256").update(content).digest("hex")}`;
  expect(await hashFile(path)).toEqual({ digest, sizeBytes: size });
});

it("ends with its caller", async () => {
  const path = join(folder, "large");
  await writeFile(path, randomBytes(2 * mib));
  await expect(hashFile(path, AbortSignal.abort(new Error("enough")))).rejects.toThrow("enough");
});
