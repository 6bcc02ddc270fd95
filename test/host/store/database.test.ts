import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test } from "vitest";
import { newSandbox } from "../../../provider/host/services/newSandbox";
import { openDatabase } from "../../../provider/host/store/database";
import { GroupStore } from "../../../provider/host/store/groupStore";
import { SandboxStore } from "../../../provider/host/store/sandboxStore";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "store-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const capabilities = { accelerator: "in-process", reason: "a test", isolation: "none", isApart: true } as const;

test("records outlive the process and belong to one group", () => {
  const first = openDatabase(folder);
  const sourcesRef = { diskImage: { name: "python", isPublic: true } };
  const record = newSandbox("s/local/g1", { sourcesRef, environment: { A: "b" } }, capabilities);
  new SandboxStore(first).put(record);
  first.close();
  const second = openDatabase(folder);
  const store = new SandboxStore(second);
  expect(store.get("s/local/g1", record.id.toUpperCase())).toEqual(JSON.parse(JSON.stringify(record)));
  expect(store.get("s/local/g2", record.id)).toBeUndefined();
  store.delete(record.id);
  store.delete(record.id);
  expect(store.count()).toBe(0);
  second.close();
});

test("a group's list is of its own subscription and resource group", () => {
  const database = openDatabase(folder);
  const store = new GroupStore(database);
  const put = (subscriptionId: string, resourceGroup: string, name: string) =>
    store.put({
      key: `${subscriptionId}/${resourceGroup}/${name}`.toLowerCase(),
      ...{ subscriptionId, resourceGroup, name, location: "local", tags: {}, properties: {}, createdAt: "" },
    });
  put("s", "rg", "a");
  put("s", "rg_", "b");
  put("s2", "rg", "c");
  expect(store.list("s").map(({ name }) => name)).toEqual(["a", "b"]);
  expect(store.list("S", "RG").map(({ name }) => name)).toEqual(["a"]);
  expect(store.list("none")).toEqual([]);
  database.close();
});

test("a database of a newer version is left alone", () => {
  openDatabase(folder).close();
  const database = new DatabaseSync(join(folder, "state.db"));
  database.exec("PRAGMA user_version = 99");
  database.close();
  expect(() => openDatabase(folder)).toThrow(/newer version/);
});

test("only the owner can read it", () => {
  const database = openDatabase(folder);
  expect(statSync(join(folder, "state.db")).mode & 0o777).toBe(0o600);
  database.close();
});
