import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test } from "vitest";
import { groupPath, RunningHost } from "../fakes/runningHost";

const fixtures = join(__dirname, "../../fixtures/stateDatabases");
const ids = { image: "2a22f0a9-dc87-4f8e-a42e-a0bc0e305c1f", sandbox: "0642638a-5b7c-4703-bb0f-88cee8e7bb33" };

let host: RunningHost;
beforeEach(() => {
  host = new RunningHost();
});
afterEach(() => host.close());

const get = async (path: string) => (await host.call("GET", `${groupPath}/${path}`)).body;

/** Over what the package wrote when its schema had that version. */
async function startOver(version: number): Promise<void> {
  const database = new DatabaseSync(join(host.dataDir, "state.db"));
  database.exec(readFileSync(join(fixtures, `${version}.sql`), "utf8"));
  database.close();
  await host.start();
}

test.each([1, 3])(
  "a state database of version %i is served with all its records, and takes new ones",
  async (version) => {
    await startOver(version);
    expect(await get(`diskimages/${ids.image}`)).toMatchObject({
      labels: { team: "red" },
      status: { state: "Ready" },
      sizeInMB: 5,
    });
    // Its machine was not kept.
    expect(await get(`sandboxes/${ids.sandbox}`)).toMatchObject({
      ...{ labels: { made: "before" }, resources: { cpu: "500m", memory: "256Mi" }, ports: [], volumes: [] },
      ...{ state: "Failed", stateDetails: { failedReason: expect.stringContaining("ended") } },
    });
    expect(await get("snapshots")).toEqual([]);
    const id = await host.sandbox({ sourcesRef: { diskImage: { id: ids.image } } });
    const made = await host.call("POST", `${groupPath}/sandboxes/${id}/snapshot`);
    await host.restart();
    expect(await get("snapshots")).toMatchObject([{ id: made.body.id, sandboxId: id }]);
    expect((await get("sandboxes")).map((each: { id: string }) => each.id)).toEqual([ids.sandbox, id]);
  },
);

test("secrets and egress policies of version 3 are what they were", async () => {
  const key = Buffer.from(readFileSync(join(fixtures, "3.secrets.key.txt"), "utf8"), "base64");
  writeFileSync(join(host.dataDir, "secrets.key"), key, { mode: 0o600 });
  await startOver(3);
  expect((await host.call("POST", `${groupPath}/secrets/first/peek`)).body.values).toEqual({ key: "value" });
  const policy = { defaultAction: "Deny", hostRules: [{ pattern: "*.example", action: "Allow" }] };
  expect(await get("egressPolicies/named")).toMatchObject(policy);
});
