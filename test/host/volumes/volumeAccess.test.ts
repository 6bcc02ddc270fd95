import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { VolumeAccess } from "../../../provider/host/volumes/volumeAccess";
import { VolumeFiles } from "../../../provider/host/volumes/volumeFiles";

describe("a directory of a volume", () => {
  let folder: string;
  let files: VolumeFiles;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "volume-"));
    files = new VolumeFiles(join(folder, "v"), 2 ** 30);
  });
  afterEach(async () => {
    await files.close();
    rmSync(folder, { recursive: true });
  });

  test("is listed whole up to its limit, and beyond it refused rather than cut", async () => {
    const access = new VolumeAccess(files, { maxItems: 3 });
    for (const name of ["a", "b", "c"]) await access.mkdir(`/${name}`);
    expect((await access.list("/")).map(({ name }) => name)).toEqual(["a", "b", "c"]);
    await access.mkdir("/d");
    await expect(access.list("/")).rejects.toMatchObject({ code: "TooLarge", message: expect.stringContaining("3") });
    expect(await access.list("/d")).toEqual([]);
  });
});
