import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { groupPath, newer, RunningHost } from "../fakes/runningHost";

describe("files", () => {
  let host: RunningHost;
  let files: string;
  beforeEach(async () => {
    host = await (await new RunningHost().start()).withGroup();
    files = `${groupPath}/sandboxes/${await host.sandbox()}/files`;
  });
  afterEach(() => host.close());

  const bytes = { headers: { "content-type": "application/octet-stream" } };

  test("bytes written are the bytes read, whatever the content type says", async () => {
    const raw = randomBytes(300_000);
    const written = await host.call("PUT", `${files}?path=/a/b.bin&createDirs=true&mode=0600`, undefined, {
      raw,
      ...bytes,
    });
    expect([written.status, written.body]).toEqual([200, { success: true, bytesWritten: 300_000 }]);
    const read = await host.call("GET", `${files}?path=/a/b.bin`);
    expect(read.headers["content-type"]).toBe("application/octet-stream");
    expect(read.text.length).toBe(raw.toString().length);
    const stat = await host.call("GET", `${files}/stat?path=/a/b.bin`);
    expect(stat.body).toMatchObject({ size: 300_000, mode: "0600", isDir: false, isDirectory: false, name: "b.bin" });
    expect(stat.body.modifiedTime).toBe(stat.body.modifiedAt);
    const json = { raw: "{not json", headers: { "content-type": "application/json" } };
    expect((await host.call("PUT", `${files}?path=/c.json`, undefined, json)).status).toBe(200);
    expect((await host.call("GET", `${files}?path=/c.json`)).text).toBe("{not json");
  });

  test("an empty body makes an empty file, with and without a content type", async () => {
    await host.call("PUT", `${files}?path=/e1`, undefined, { raw: "", ...bytes });
    const posted = await host.call("POST", `${files}?path=/e2`, undefined, { version: newer });
    expect(posted.status).toBe(201);
    for (const path of ["/e1", "/e2"]) expect((await host.call("GET", `${files}?path=${path}`)).text).toBe("");
  });

  test("a directory is made with those above it, unless that is not wanted", async () => {
    const body = { path: "/above/of/it", mode: null };
    const alone = await host.call("POST", `${files}/mkdir`, { ...body, createParents: false });
    expect([alone.status, alone.body.errorCode]).toEqual([404, "FileNotFound"]);
    expect((await host.call("POST", `${files}/mkdir`, { ...body, createParents: null })).status).toBe(200);
    const below = { path: "/above/of/it/too", createParents: false };
    expect((await host.call("POST", `${files}/mkdir`, below)).status).toBe(200);
  });

  test("directories are made, listed and removed", async () => {
    expect((await host.call("POST", `${files}/mkdir`, { path: "/d/e" })).status).toBe(200);
    await host.call("PUT", `${files}?path=/d/.hidden`, undefined, { raw: "x", ...bytes });
    const list = await host.call("GET", `${files}/list?path=/d`);
    expect(list.body.path).toBe("/d");
    expect(list.body.entries.map((e: { name: string; isDir: boolean }) => [e.name, e.isDir])).toEqual([
      [".hidden", false],
      ["e", true],
    ]);
    expect((await host.call("DELETE", `${files}?path=/d`)).status).toBe(409);
    expect((await host.call("DELETE", `${files}?path=/d&recursive=true`)).status).toBe(200);
    expect((await host.call("GET", `${files}/stat?path=/d`)).status).toBe(404);
  });

  test("a path with plus signs is found although + reads as a space", async () => {
    await host.call("PUT", `${files}?path=/c%2B%2B`, undefined, { raw: "plus", ...bytes });
    await host.call("PUT", `${files}?path=/a%20b`, undefined, { raw: "space", ...bytes });
    expect((await host.call("GET", `${files}?path=/c++`)).text).toBe("plus");
    expect((await host.call("GET", `${files}?path=/a+b`)).text).toBe("space");
  });

  test("a caller that leaves in the middle of a body is no fault of the host", async () => {
    const leave = new AbortController();
    const body = async function* () {
      yield Buffer.alloc(100_000);
      leave.abort();
      yield Buffer.alloc(100_000);
      await new Promise(() => {});
    };
    const raw = Readable.from(body());
    const options = { raw, ...bytes, signal: leave.signal };
    await expect(host.call("PUT", `${files}?path=/half`, undefined, options)).rejects.toThrow();
    await expect.poll(() => host.log.join("")).toContain("the caller left");
    expect(host.log.filter((line) => JSON.parse(line).level > 30)).toEqual([]);
  });

  test.each([
    ["a missing file", "GET", "?path=/none", 404, "FileNotFound"],
    ["a directory read as a file", "GET", "?path=/tmp", 409, "FileConflict"],
    ["no path", "GET", "", 400, "InvalidRequest"],
    ["a relative path", "GET", "?path=etc", 400, "InvalidRequest"],
    ["a zero byte", "GET", "?path=/a%00b", 400, "InvalidRequest"],
    ["a mode that is none", "PUT", "?path=/a&mode=rwx", 400, "InvalidRequest"],
    ["a flag that is none", "DELETE", "?path=/a&recursive=maybe", 400, "InvalidRequest"],
  ])("%s is refused by name", async (_what, method, query, status, code) => {
    const reply = await host.call(method, `${files}${query}`);
    expect([reply.status, reply.body.error.code]).toEqual([status, code]);
  });
});
