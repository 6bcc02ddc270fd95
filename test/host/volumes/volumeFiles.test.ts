import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fileType } from "../../../provider/host/volumes/fileAttributes";
import { VolumeFiles } from "../../../provider/host/volumes/volumeFiles";
import { rootIno } from "../../../provider/host/volumes/volumeTree";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "volume-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("what a file held goes with the next start when a removal was cut off", async () => {
  const files = new VolumeFiles(folder, 2 ** 20);
  const name = Buffer.from("f");
  const { ino } = files.tree.make(rootIno, name, { mode: fileType.regular | 0o644, uid: 0, gid: 0 });
  const content = join(folder, "contents", String(ino));
  // It cannot be removed: as far as a process comes that ends in the middle of it.
  mkdirSync(join(content, "in the way"), { recursive: true });
  files.tree.unlink(rootIno, name);
  await expect(files.orphaned(ino)).rejects.toThrow();
  rmSync(join(content, "in the way"), { recursive: true });
  rmSync(content, { recursive: true });
  await files.close();

  const again = new VolumeFiles(folder, 2 ** 20);
  expect(again.tree.nameless()).toEqual([ino]);
  await again.reopen([]);
  expect(again.tree.nameless()).toEqual([]);
  expect(existsSync(content)).toBe(false);
  await again.close();
});
