import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Contents that no file of their volume has; of volumes whose database stands still, as one that is written to cannot be read whole. */
export function auditVolumeFiles(directory: string): string[] {
  const names = existsSync(directory) ? readdirSync(directory) : [];
  return names.flatMap((name) => {
    const known = numbersIn(join(directory, name));
    const contents = readdirSync(join(directory, name, "contents"));
    return known ? contents.filter((ino) => !known.has(ino)).map((ino) => `volumes/${name}/contents/${ino}`) : [];
  });
}

/** The daemon has the database locked: a copy of it is read. */
function numbersIn(volume: string): Set<string> | undefined {
  // Not below what the host may leave files in.
  const folder = mkdtempSync(join(tmpdir(), "..", "volume-"));
  try {
    for (const name of ["tree.db", "tree.db-wal"]) {
      if (existsSync(join(volume, name))) copyFileSync(join(volume, name), join(folder, name));
    }
    const database = new DatabaseSync(join(folder, "tree.db"));
    try {
      return new Set(
        database
          .prepare("SELECT ino FROM files")
          .all()
          .map(({ ino }) => String(ino)),
      );
    } catch {
      return undefined; // It was copied while it changed.
    } finally {
      database.close();
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}
