import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { volumeItems } from "../../../provider/client/wire/volumes";
import { groupPath, type Reply, RunningHost } from "../fakes/runningHost";

const volumes = `${groupPath}/volumes`;

describe("files of a volume", () => {
  let host: RunningHost;

  beforeEach(async () => {
    host = await new RunningHost().start();
    await host.withGroup();
    expect((await host.call("PUT", `${volumes}/v`, { type: "AzureBlob", size: "8Mi" })).status).toBe(201);
  });
  afterEach(() => host.close());

  const address = (path: string, action = "", more = "") =>
    `${volumes}/v/files${action}?path=${encodeURIComponent(path)}${more}`;
  const upload = (path: string, raw: Buffer | string, more = "", headers: Record<string, string> = {}) =>
    host.call("PUT", address(path, "/upload", more), undefined, { raw, headers });
  const download = (path: string) => host.call("GET", address(path, "/download"));
  const list = async (path: string) => volumeItems.parse((await host.call("GET", address(path))).body);
  const codeOf = ({ status, body }: Reply) => [status, body.error.code];
  const usedOf = async () => (await host.call("GET", `${volumes}/v`)).body.usage.used;

  test("an upload makes its directories, is listed, and is downloaded byte for byte", async () => {
    const bytes = randomBytes(1_000_000);
    const made = await upload("/models/one/weights.bin", bytes);
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ itemName: "weights.bin", path: "/models/one/weights.bin", sizeBytes: 1_000_000 });
    const found = await host.call("GET", address("models/one//weights.bin", "/download"));
    expect(found.headers.etag).toBe(made.body.eTag);
    expect(found.headers["content-type"]).toContain("octet-stream");
    const copy = await upload("/copy", bytes);
    expect(copy.body.sizeBytes).toBe(bytes.length);
    expect((await list("/")).items).toMatchObject([
      { itemName: "models", isDirectory: true, sizeBytes: 0 },
      { itemName: "copy", isDirectory: false, sizeBytes: 1_000_000 },
    ]);
    expect((await list("/models/one")).items).toEqual([expect.objectContaining({ eTag: made.body.eTag })]);
  });

  test("what a volume holds is told without opening it, and again after a restart", async () => {
    for (const name of ["w", "x"]) await host.call("PUT", `${volumes}/${name}`, { type: "AzureBlob" });
    const told = async () => {
      const { body } = await host.call("GET", volumes);
      return body.map((each: { volumeName: string; usage: { used: string } }) => [each.volumeName, each.usage.used]);
    };
    await upload("/f", randomBytes(3 * 2 ** 20));
    const all = [
      ["v", "3Mi"],
      ["w", "0Mi"],
      ["x", "0Mi"],
    ];
    expect(await told()).toEqual(all);
    expect(readdirSync(join(host.dataDir, "volumes"))).toHaveLength(1);
    await host.restart();
    expect(await told()).toEqual(all);
    await upload("/g", randomBytes(2 ** 20));
    expect(await usedOf()).toBe("4Mi");
    await host.restart();
    expect(await usedOf()).toBe("4Mi");
    await host.call("POST", `${volumes}/v/fork`, { destinationVolumeName: "y" });
    expect((await told()).at(-1)).toEqual(["y", "4Mi"]);
  });

  test("text comes back as it went in, the older verb too", async () => {
    expect((await host.call("POST", address("/a b+c/ü.txt"), undefined, { raw: "héllo" })).status).toBe(201);
    expect((await download("/a b+c/ü.txt")).text).toBe("héllo");
    expect((await upload("/empty", "")).body.sizeBytes).toBe(0);
    expect((await download("/empty")).text).toBe("");
  });

  test("a file is replaced as a whole, on the caller's conditions", async () => {
    const { eTag: first } = (await upload("/f", "one")).body;
    expect(codeOf(await upload("/f", "two", "&overwrite=false"))).toEqual([409, "FileConflict"]);
    expect(codeOf(await upload("/f", "two", "", { "if-none-match": "*" }))).toEqual([412, "PreconditionFailed"]);
    expect(codeOf(await upload("/f", "two", "", { "if-match": '"other"' }))).toEqual([412, "PreconditionFailed"]);
    expect(codeOf(await upload("/new", "two", "", { "if-match": "*" }))).toEqual([412, "PreconditionFailed"]);
    expect((await download("/f")).text).toBe("one");
    const { eTag: second } = (await upload("/f", "two!", "", { "if-match": `"x", ${first}` })).body;
    expect(second).not.toBe(first);
    expect((await download("/f")).text).toBe("two!");
    expect((await upload("/new", "x", "", { "if-none-match": "*" })).status).toBe(201);
  });

  test("what does not fit is refused, and takes no room afterwards", async () => {
    await upload("/f", Buffer.alloc(4 << 20));
    expect(codeOf(await upload("/g", Buffer.alloc(5 << 20)))).toEqual([413, "PayloadTooLarge"]);
    expect(await usedOf()).toBe("4Mi");
    expect((await list("/")).items).toHaveLength(1);
    expect(codeOf(await upload("/f", Buffer.alloc(5 << 20)))).toEqual([413, "PayloadTooLarge"]);
    expect((await list("/")).items[0]).toMatchObject({ sizeBytes: 4 << 20 });
    expect(readdirSync(contentsOf()).length).toBe(1);
  });

  test("an upload that breaks off leaves the file as it was", async () => {
    await upload("/f", "whole");
    const giveUp = new AbortController();
    let sent = 0;
    const unfinished = new ReadableStream({
      pull(controller) {
        // Less than there is room for, however fast this machine is.
        if (++sent > 32) return giveUp.abort();
        controller.enqueue(Buffer.alloc(64 * 1024));
      },
    });
    const broken = host.call("PUT", address("/f", "/upload"), undefined, {
      raw: unfinished as unknown as Buffer,
      signal: giveUp.signal,
    });
    await expect(broken).rejects.toThrow();
    await expect.poll(usedOf).toBe("1Mi");
    expect((await download("/f")).text).toBe("whole");
    await expect.poll(() => readdirSync(contentsOf()).length).toBe(1);
    expect(host.log.filter((line) => line.includes("unexpectedly"))).toEqual([]);
  });

  test("directories are made with those above, and removed with all in them", async () => {
    expect((await host.call("POST", address("/a/b/c", "/mkdir"))).status).toBe(201);
    expect((await host.call("POST", address("/a/b/c", "/mkdir"))).status).toBe(201);
    await upload("/a/b/f", "x");
    expect(codeOf(await upload("/a/b", "x"))).toEqual([409, "FileConflict"]);
    expect(codeOf(await upload("/a/b/f/g", "x"))).toEqual([409, "FileConflict"]);
    expect(codeOf(await download("/a/b"))).toEqual([409, "FileConflict"]);
    expect((await host.call("DELETE", address("/a"))).status).toBe(204);
    expect((await list("/")).items).toEqual([]);
    expect(readdirSync(contentsOf())).toEqual([]);
    expect(await usedOf()).toBe("0Mi");
  });

  test.each([
    ["a path that leads out", "/../x", 400],
    ["a dot", "/./x", 400],
    ["a zero byte", "/x\0y", 400],
    ["a name that is too long", `/${"x".repeat(256)}`, 400],
    ["the root", "/", 409],
  ])("%s is refused", async (_what, path, status) => {
    expect((await upload(path, "x")).status).toBe(status);
    expect((await list("/")).items).toEqual([]);
  });

  test("what is not there is a 404", async () => {
    expect(codeOf(await download("/none"))).toEqual([404, "FileNotFound"]);
    expect(codeOf(await host.call("DELETE", address("/none/x")))).toEqual([404, "FileNotFound"]);
    expect((await host.call("GET", `${volumes}/none/files?path=/`)).status).toBe(404);
    expect((await host.call("DELETE", address("/"))).status).toBe(400);
  });

  test("a fork has what the volume had then, and goes its own way", async () => {
    await upload("/d/f", "one");
    const fork = { destinationVolumeName: "w", labels: { of: "v" } };
    const made = await host.call("POST", `${volumes}/v/fork`, fork);
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ volumeName: "w", labels: { of: "v" }, type: "AzureBlob", size: "8Mi" });
    await upload("/d/f", "two");
    const theirs = async () => (await host.call("GET", `${volumes}/w/files/download?path=/d/f`)).text;
    expect(await theirs()).toBe("one");
    await host.restart();
    expect(await theirs()).toBe("one");
    expect(codeOf(await host.call("POST", `${volumes}/v/fork`, fork))).toEqual([409, "Conflict"]);
    expect((await host.call("DELETE", `${volumes}/v`)).status).toBe(204);
    expect(await theirs()).toBe("one");
  });

  /** The only volume's. */
  function contentsOf(): string {
    const [name] = readdirSync(join(host.dataDir, "volumes"));
    return join(host.dataDir, "volumes", String(name), "contents");
  }
});
