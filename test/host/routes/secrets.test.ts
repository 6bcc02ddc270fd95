import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { groupPath, newer, RunningHost } from "../fakes/runningHost";

const secrets = `${groupPath}/secrets`;
const value = "correct-horse-battery";

describe("secrets", () => {
  let host: RunningHost;
  beforeEach(async () => {
    host = await (await new RunningHost().start()).withGroup();
  });
  afterEach(() => host.close());

  const keyFile = () => join(host.dataDir, "secrets.key");

  test("are put, listed without values, peeked at, replaced and deleted", async () => {
    const put = await host.call("PUT", `${secrets}/db-login`, { values: { user: "joe", password: value } });
    expect([put.status, put.body]).toEqual([
      201,
      { id: "db-login", keys: ["password", "user"], createdAt: expect.any(String), updatedAt: expect.any(String) },
    ]);
    expect(put.text).not.toContain(value);
    const list = await host.call("GET", secrets);
    expect(list.body).toEqual({ secrets: [put.body] });
    expect((await host.call("GET", `${secrets}/db-login/keys`)).body).toEqual({ keys: ["password", "user"] });
    const peek = await host.call("POST", `${secrets}/db-login/peek`);
    expect(peek.body).toMatchObject({ id: "db-login", values: { user: "joe", password: value } });
    expect(peek.headers["cache-control"]).toBe("no-store");

    const again = await host.call("PUT", `${secrets}/DB-login`, { values: { token: "t" } });
    expect([again.status, again.body]).toMatchObject([200, { id: "db-login", createdAt: put.body.createdAt }]);
    expect((await host.call("POST", `${secrets}/db-login/peek`)).body.values).toEqual({ token: "t" });

    expect((await host.call("DELETE", `${secrets}/db-login`)).status).toBe(204);
    expect((await host.call("DELETE", `${secrets}/db-login`)).status).toBe(204);
    const gone = await host.call("GET", `${secrets}/db-login/keys`);
    expect([gone.status, gone.body.error.code]).toEqual([404, "SecretNotFound"]);
  });

  test("answer with `secrets` in the newer api-version too, page by page", async () => {
    for (const id of ["one", "two", "three"]) await host.call("PUT", `${secrets}/${id}`, { values: { k: "v" } });
    const first = await host.call("GET", `${secrets}?pageSize=2`, undefined, { version: newer });
    expect(first.body.secrets).toHaveLength(2);
    const next = new URL(first.body.nextLink);
    const second = await host.call(
      "GET",
      `${next.pathname}?skipToken=${next.searchParams.get("skipToken")}`,
      undefined,
      {
        version: newer,
      },
    );
    expect(second.body.nextLink).toBeUndefined();
    const ids = [...first.body.secrets, ...second.body.secrets].map(({ id }) => id);
    expect(ids.sort()).toEqual(["one", "three", "two"]);
  });

  test.each([
    ["a short id", "ab", { values: {} }],
    ["an id with other characters", "a_b.c", { values: {} }],
    ["no values", "good", {}],
    ["a value that is no text", "good", { values: { k: 1 } }],
  ])("with %s are refused", async (_what, id, body) => {
    expect((await host.call("PUT", `${secrets}/${id}`, body)).status).toBe(400);
  });

  test("that are too large are refused", async () => {
    const reply = await host.call("PUT", `${secrets}/large`, { values: { k: "x".repeat(70_000) } });
    expect(reply.status).toBe(413);
  });

  test("survive a restart, and lie on disk encrypted under a key that is the owner's alone", async () => {
    await host.call("PUT", `${secrets}/kept`, { values: { k: value } });
    await host.restart();
    expect((await host.call("POST", `${secrets}/kept/peek`)).body.values).toEqual({ k: value });
    await host.disconnect();
    await host.server.stop();
    expect(statSync(keyFile()).mode & 0o777).toBe(0o600);
    for (const name of readdirSync(host.dataDir, { recursive: true, withFileTypes: true })) {
      if (!name.isFile()) continue;
      expect(readFileSync(join(name.parentPath, name.name)).includes(value), name.name).toBe(false);
    }
    expect(host.log.join("")).not.toContain(value);
    await host.start();
  });

  test("cannot be read with another key, in another place, or when they were changed", async () => {
    await host.call("PUT", `${secrets}/kept`, { values: { k: value } });
    rmSync(keyFile());
    await host.restart();
    const reply = await host.call("POST", `${secrets}/kept/peek`);
    expect([reply.status, reply.body.error.hint]).toEqual([409, expect.stringContaining("secrets.key")]);
    writeFileSync(keyFile(), "short", { mode: 0o600 });
    await host.restart();
    expect((await host.call("PUT", `${secrets}/other`, { values: { k: "v" } })).status).toBe(409);
    rmSync(keyFile());
    writeFileSync(keyFile(), Buffer.alloc(32), { mode: 0o644 });
    await host.restart();
    expect((await host.call("PUT", `${secrets}/other`, { values: { k: "v" } })).status).toBe(403);
  });

  test("go with their group", async () => {
    await host.call("PUT", `${secrets}/kept`, { values: { k: value } });
    const arm = "/subscriptions/s1/resourceGroups/local/providers/Microsoft.App/sandboxGroups/g1";
    await host.call("DELETE", arm);
    expect((await host.call("GET", secrets)).status).toBe(404);
    await host.withGroup();
    expect((await host.call("GET", secrets)).body).toEqual({ secrets: [] });
  });
});
