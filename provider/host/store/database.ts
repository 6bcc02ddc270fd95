import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { SandboxesError } from "../../client/errors";

/** Each entry is applied once, in order; `user_version` counts them. Never edit one that was released: add another. */
const migrations = [
  `CREATE TABLE groups (key TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
   CREATE TABLE diskImages (id TEXT PRIMARY KEY, groupKey TEXT NOT NULL, createdAt TEXT NOT NULL, record TEXT NOT NULL) STRICT;
   CREATE INDEX diskImagesByGroup ON diskImages (groupKey, createdAt);
   CREATE TABLE sandboxes (id TEXT PRIMARY KEY, groupKey TEXT NOT NULL, createdAt TEXT NOT NULL, record TEXT NOT NULL) STRICT;
   CREATE INDEX sandboxesByGroup ON sandboxes (groupKey, createdAt);
   CREATE TABLE publicImages (name TEXT PRIMARY KEY, digest TEXT NOT NULL) STRICT;`,
  `CREATE TABLE secrets (id TEXT PRIMARY KEY, groupKey TEXT NOT NULL, createdAt TEXT NOT NULL, record TEXT NOT NULL) STRICT;
   CREATE INDEX secretsByGroup ON secrets (groupKey, createdAt);
   CREATE TABLE volumes (id TEXT PRIMARY KEY, groupKey TEXT NOT NULL, createdAt TEXT NOT NULL, record TEXT NOT NULL) STRICT;
   CREATE INDEX volumesByGroup ON volumes (groupKey, createdAt);`,
  `CREATE TABLE egressPolicies (id TEXT PRIMARY KEY, groupKey TEXT NOT NULL, createdAt TEXT NOT NULL, record TEXT NOT NULL) STRICT;
   CREATE INDEX egressPoliciesByGroup ON egressPolicies (groupKey, createdAt);
   CREATE TABLE egressDecisions (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;`,
  `CREATE TABLE snapshots (id TEXT PRIMARY KEY, groupKey TEXT NOT NULL, createdAt TEXT NOT NULL, record TEXT NOT NULL) STRICT;
   CREATE INDEX snapshotsByGroup ON snapshots (groupKey, createdAt);`,
  `CREATE TABLE roleAssignments (key TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;`,
];

/**
 * Opens `state.db` of a data directory and holds its exclusive lock until closed, which is what makes a daemon the
 * only one of that directory. Rejects with `InUse` when another process has it. The file is 0600: it holds the
 * environments of sandboxes, which are secrets.
 */
export function openDatabase(dataDir: string): DatabaseSync {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const path = join(dataDir, "state.db");
  // Made before SQLite opens it, so that it never exists with wider permissions; -wal and -shm copy its mode. Closing
  // a descriptor later would drop SQLite's POSIX locks, so this must come first.
  closeSync(openSync(path, "a", 0o600));
  const database = new DatabaseSync(path);
  try {
    // EXCLUSIVE before the first access in WAL mode keeps the lock for good and needs no shared memory file.
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
    database.exec("BEGIN IMMEDIATE");
    migrate(database);
    database.exec("COMMIT");
    return database;
  } catch (error) {
    database.close();
    if (isLocked(error)) {
      throw new SandboxesError("InUse", `Cannot serve "${dataDir}": another host serves this data directory`);
    }
    throw error;
  }
}

function migrate(database: DatabaseSync): void {
  const row = database.prepare("PRAGMA user_version").get() as { user_version: number };
  if (row.user_version > migrations.length) {
    throw new SandboxesError("Conflict", "Cannot open state.db: a newer version of this package wrote it", {
      hint: "upgrade the package, or use another data directory",
    });
  }
  for (const migration of migrations.slice(row.user_version)) database.exec(migration);
  database.exec(`PRAGMA user_version = ${migrations.length}`);
}

function isLocked(error: unknown): boolean {
  return error instanceof Error && /database is locked/.test(error.message);
}
