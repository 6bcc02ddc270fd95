import { createHash, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { readTar } from "../../images/testTar";
import { elfProgram } from "../elfProgram";
import { run, shell } from "../guestCommands";
import { bytesOf, type RealGuest } from "./realGuest";

// setxattr(argv[1], argv[2], argv[3], its length, 0): busybox has no program for it.
const setAttribute = elfProgram([
  "488b7c2410 488b742418 488b542420 4531d2",
  "42803c1200 7405 41ffc2 ebf4", // counts the bytes of argv[3]
  "4531c0 b8bc000000 0f05 89c7 b83c000000 0f05",
]);

const oddNames = [
  "plain",
  "with space",
  " leading and trailing ",
  "-rf",
  "--",
  "quote'\"`$(x)",
  "back\\slash",
  "new\nline",
  "tab\tbell\x07",
  "*?[a]{b}",
  "ümläut €",
  "😀👩‍👩‍👧",
  "e\u0301",
  "\u202egnp.exe",
  "%2e%2e",
  "...",
  "n".repeat(255),
  "ü".repeat(127),
];

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** Files of every kind, in and out. */
export function describeFiles(guest: () => RealGuest): void {
  const write = (path: string, content: string | Buffer, options = {}) =>
    guest().agent.writeFile(path, bytesOf(content), { createDirs: true, ...options });
  const read = async (path: string, options = {}) => buffer(await guest().agent.readFile(path, options));
  const script = async (line: string) => {
    const result = await shell(guest().agent, line);
    expect(result, line).toMatchObject({ exitCode: 0 });
    return result.stdout;
  };

  describe("a file", () => {
    it.each([
      ["no bytes", Buffer.alloc(0)],
      ["every byte", Buffer.from(Array.from({ length: 256 }, (_value, index) => index))],
      ["as many as a frame has", randomBytes(32 * 1024 - 9)],
      ["one more than a window", randomBytes(256 * 1024 + 1)],
      ["many", randomBytes(12_345_678)],
    ])("of %s goes in and comes back byte for byte", async (_name, content) => {
      expect(await write("/f/file", content)).toBe(content.length);
      expect((await script("sha256sum < /f/file")).slice(0, 64)).toBe(sha256(content));
      expect((await read("/f/file")).equals(content)).toBe(true);
      expect(await guest().agent.stat("/f/file")).toMatchObject({ type: "file", sizeBytes: content.length });
    });

    it("is read in parts", async () => {
      await write("/f/digits", "0123456789");
      const parts = await Promise.all(
        [{ offset: 3 }, { offset: 3, length: 2 }, { length: 0 }, { offset: 99 }].map((part) => read("/f/digits", part)),
      );
      expect(parts.map(String)).toEqual(["3456789", "34", "", ""]);
    });

    it("with holes has its size, and zeros where nothing was written", async () => {
      await script("mkdir -p /f; rm -f /f/holes; truncate -s 5000000 /f/holes; printf end >> /f/holes");
      expect((await read("/f/holes")).equals(Buffer.concat([Buffer.alloc(5_000_000), Buffer.from("end")]))).toBe(true);
      expect(Number(await script("du -k /f/holes | cut -f1"))).toBeLessThan(100);
    });

    it("may have any name that Linux takes", async () => {
      for (const name of oddNames) await write(`/odd/${name}`, `content of ${name}`);
      const listed = await guest().agent.list("/odd");
      expect(listed.map(({ name }) => name).sort()).toEqual([...oddNames].sort());
      for (const name of oddNames) expect(String(await read(`/odd/${name}`))).toBe(`content of ${name}`);
      await expect(write(`/odd/${"n".repeat(256)}`, "x")).rejects.toMatchObject({ code: "Invalid" });
      const deep = `/odd/${"d/".repeat(1500)}file`;
      await write(deep, "deep");
      expect(String(await read(deep))).toBe("deep");
      await guest().agent.remove("/odd", { recursive: true });
      await expect(guest().agent.stat("/odd")).rejects.toMatchObject({ code: "FileNotFound" });
    });

    it("has the mode that was asked for, set-user-id and sticky bits too, and keeps mode and owner when replaced", async () => {
      for (const mode of [0o000, 0o600, 0o755, 0o4755, 0o2755, 0o1644, 0o7777]) {
        await write("/f/mode", "x", { mode });
        expect((await guest().agent.stat("/f/mode")).mode).toBe(mode);
        await write("/f/mode", "y");
        expect((await guest().agent.stat("/f/mode")).mode).toBe(mode);
        await guest().agent.remove("/f/mode");
      }
      await script("touch /f/owned; chown 1000:4242 /f/owned; chmod 4711 /f/owned");
      await write("/f/owned", "new");
      expect(await guest().agent.stat("/f/owned")).toMatchObject({ uid: 1000, gid: 4242, mode: 0o4711 });
    });

    it("is replaced whole or not at all", async () => {
      await write("/f/whole", "old");
      const failing = async function* () {
        yield Buffer.alloc(300_000);
        throw new Error("the source broke");
      };
      await expect(guest().agent.writeFile("/f/whole", failing())).rejects.toThrow("the source broke");
      expect(String(await read("/f/whole"))).toBe("old");
      await expect.poll(() => script("ls -A /f | grep -c '^[.]sandbox-' || true")).toBe("0\n");
    });
  });

  describe("a link", () => {
    it("leads within the guest only, however it is written", async () => {
      const { agent, dataDirectory } = guest();
      const secret = join(dataDirectory, "secret-of-the-host");
      writeFileSync(secret, "not for guests");
      await expect(agent.readFile(secret)).rejects.toMatchObject({ code: "FileNotFound" });
      await script(`mkdir -p /l; ln -sf ${secret} /l/direct; ln -sf ../../../../../../..${secret} /l/up`);
      await script("ln -sfn ../../../../../../etc /l/etc; ln -sf loop /l/loop; ln -sf /etc/hostname /l/name");
      for (const path of ["/l/direct", "/l/up"]) {
        await expect(agent.readFile(path)).rejects.toMatchObject({ code: "FileNotFound" });
      }
      expect(String(await read("/l/etc/passwd"))).toBe(await script("cat /etc/passwd"));
      expect(String(await read("/l/name"))).toBe(await script("cat /etc/hostname"));
      await expect(agent.readFile("/l/loop")).rejects.toMatchObject({ code: "FileConflict" });
      await expect(write("/l/loop", "x")).rejects.toMatchObject({ code: "FileConflict" });
      // What is written through it is written where it leads in the guest.
      await write("/l/direct", "of the guest", { createDirs: true });
      expect(await script(`cat ${secret}`)).toBe("of the guest");
      expect(readFileSync(secret, "utf8")).toBe("not for guests");
      expect(await agent.stat("/l/direct")).toMatchObject({ type: "symlink", symlinkTarget: secret });
    });
  });

  describe("what is no file", () => {
    it("is refused by what it is, and nothing waits for it", async () => {
      const { agent } = guest();
      await script("mkdir -p /n/full/sub; rm -f /n/pipe /n/null; mkfifo /n/pipe; mknod /n/null c 1 3");
      const code = (call: Promise<unknown>) =>
        call.then(
          () => "done",
          (error) => `${error.code}: ${error.message.replace(/^[^:]*: /, "")}`,
        );
      const noFile = "FileConflict: it is not a regular file";
      expect(await code(agent.readFile("/n/pipe"))).toBe(noFile);
      expect(await code(agent.readFile("/n/null"))).toBe(noFile);
      expect(await code(agent.readFile("/dev/zero"))).toBe(noFile);
      expect(await code(write("/n/pipe", "x"))).toBe(noFile);
      expect(await code(write("/n/null", "x"))).toBe(noFile);
      expect(await code(agent.readFile("/n"))).toBe("FileConflict: it is a directory");
      expect(await code(write("/n", "x"))).toBe("FileConflict: it is a directory");
      expect(await code(agent.list("/etc/passwd"))).toBe("FileConflict: a part of the path is not a directory");
      expect(await code(agent.mkdir("/etc/passwd/x"))).toMatch(/^FileConflict/);
      expect(await code(agent.remove("/n/full"))).toBe("FileConflict: the directory is not empty");
      expect(await code(agent.readFile("/n/none"))).toBe("FileNotFound: it does not exist");
      // The guest's system says no in two ways.
      expect(await code(agent.remove("/proc/version"))).toBe("Forbidden: the operation is not permitted");
      expect(await code(write("/sys/kernel/x", "x"))).toBe("Forbidden: permission was denied");
      expect(await agent.stat("/n/null")).toMatchObject({ type: "other" });
    });
  });

  describe("a tree", () => {
    it("is the same in its tar as in the guest, whatever it is made of", async () => {
      const { agent } = guest();
      await agent.writeFile("/setAttribute", bytesOf(setAttribute), { mode: 0o755 });
      await script("rm -rf /tree; mkdir -p /tree/empty /tree/closed; chmod 700 /tree/closed; chmod 1777 /tree/empty");
      for (const name of oddNames) await write(`/tree/odd/${name}`, `content of ${name}`);
      for (const size of [0, 1, 511, 512, 513, 16_384, 16_385, 3_000_000]) {
        await write(`/tree/bytes-${size}`, randomBytes(size));
      }
      await write("/tree/closed/program", "#!/bin/sh\n", { mode: 0o4711 });
      await script(
        "chown 1000:4242 /tree/closed/program; chmod 4711 /tree/closed/program; chmod 6755 /tree/bytes-512; touch -d @1234567890 /tree/bytes-1",
      );
      await script(
        "cd /tree; ln bytes-513 another; ln -s ../../nowhere link; ln -s bytes-1 closed/long-$(printf %0200d 1)",
      );
      await script("cd /tree; mkfifo pipe; mknod null c 1 3; mknod disk b 7 9; truncate -s 1000000 holes");
      expect((await run(agent, ["/setAttribute", "/tree/bytes-1", "user.note", "kept ü"])).exitCode).toBe(0);

      const found = await entriesOf(await agent.archive("/tree"));
      const names = await script("cd /tree; find . -mindepth 1 -print0 | tr '\\n\\0' '\\001\\n'");
      const expected = names.trimEnd().split("\n");
      expect([...found.keys()].sort()).toEqual(expected.map((name) => name.slice(2).replaceAll("\x01", "\n")).sort());

      // busybox's own words of each, in the order of the archive: permissions, owner, size, time, number of names, content.
      const eachOf =
        'for f; do stat -c "%a %u %g %s %Y %h" "$f"; [ -f "$f" ] && [ ! -L "$f" ] && sha256sum < "$f"; done; true';
      const words = await run(agent, ["sh", "-c", eachOf, "sh", ...found.keys()], { cwd: "/tree" });
      const lines = words.stdout.trimEnd().split("\n");
      for (const [path, entry] of found) {
        const [mode, uid, gid, size, mtime, names] = lines
          .shift()!
          .split(" ")
          .map((word, at) => Number.parseInt(word, at ? 10 : 8));
        expect(entry, path).toMatchObject({ mode, uid, gid, mtime });
        const isFile = entry.type === "file" || entry.type === "hardLink";
        const sum = isFile ? lines.shift()?.slice(0, 64) : undefined;
        if (entry.type === "file") expect([entry.size, sha256(entry.data)], path).toEqual([size, sum]);
        if (entry.type === "hardLink") expect(names, path).toBe(2);
      }
      expect(lines).toEqual([]);
      expect(found.get("another")).toMatchObject({ type: "file", size: 513 });
      expect(found.get("bytes-513")).toMatchObject({ type: "hardLink", linkTarget: "another" });
      expect(found.get("link")).toMatchObject({ type: "symlink", linkTarget: "../../nowhere" });
      expect(found.get("pipe")).toMatchObject({ type: "fifo" });
      expect(found.get("null")).toMatchObject({ type: "charDevice" });
      expect(found.get("disk")).toMatchObject({ type: "blockDevice" });
      expect(found.get("closed/program")).toMatchObject({ mode: 0o4711, uid: 1000, gid: 4242 });
      expect(found.get("bytes-1")).toMatchObject({ mtime: 1234567890 });
      expect([...(found.get("bytes-1")?.xattrs ?? [])].map(([name, value]) => [name, utf8(value)])).toEqual([
        ["user.note", "kept ü"],
      ]);
    });
  });
}

type Found = Awaited<ReturnType<typeof readTar>>[number];

/** What a tar holds, by path. */
async function entriesOf(archive: Readable): Promise<Map<string, Found>> {
  const entries = await readTar(await buffer(archive), 64 * 1024);
  return new Map(entries.map((entry) => [utf8(entry.path).replace(/\/$/, ""), entry]));
}

/** The reader has one character for each byte. */
function utf8(text: string): string {
  return Buffer.from(text, "latin1").toString();
}
