import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { defaultImageLimits } from "../../../provider/host/images/imageLimits";
import { ImportBudget } from "../../../provider/host/images/importBudget";
import { layerStream } from "../../../provider/host/images/layerStream";
import { resolveRootfsTar } from "../../../provider/host/images/rootfsTar";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "layer-"));
  path = join(folder, "layer.tar");
  writeFileSync(path, Buffer.alloc(10_240));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("an import that was given up before it came to read its file ends, and nothing else does", async () => {
  const signal = AbortSignal.abort(new Error("given up"));
  const layer = layerStream({ label: "layer", path }, new ImportBudget(defaultImageLimits), { signal });
  await expect(layer.next()).rejects.toThrow("given up");
  await expect(resolveRootfsTar(path, signal)).rejects.toThrow("given up");
  // Time for an error that nobody listens to.
  await sleep(20);
});
