import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { question } from "../../../provider/host/volumes/fuseMessages";
import { HostRoom } from "../../../provider/host/volumes/hostRoom";
import { VolumeFiles } from "../../../provider/host/volumes/volumeFiles";
import { body, FuseClient } from "./fuseClient";

const { errno } = constants;
const root = 1;
const megabyte = 2 ** 20;

let directory: string;
let files: VolumeFiles;
let guest: FuseClient;
const clients: FuseClient[] = [];

const open = (limitBytes = 64 * megabyte, limits: ConstructorParameters<typeof VolumeFiles>[2] = {}) => {
  files = new VolumeFiles(join(directory, "volume"), limitBytes, limits);
  guest = connect();
};
const connect = (mount: { id?: string; readOnly?: boolean } = {}) => {
  const client = new FuseClient(files, mount);
  clients.push(client);
  return client;
};
const close = async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await files.close();
};
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "volume-"));
});
afterEach(async () => {
  await close();
  rmSync(directory, { recursive: true, force: true });
});

const mkdir = (parent: number, name: string) =>
  guest.ask(question.mkdir, parent, body(["u32", 0o755], ["u32", 0], name));
const create = (name: string) =>
  guest.ask(question.create, root, body(["u32", 0], ["u32", 0o644], ["u32", 0], ["u32", 0], name));
const unlink = (name: string) => guest.ask(question.unlink, root, body(name));
const symlink = (name: string, target: string) => guest.ask(question.symlink, root, body(name, target));
const readdir = (maxBytes: number, kind: number = question.readdir) =>
  guest.ask(kind, root, body(["u64", 0], ["u64", 0], ["u32", maxBytes]));
const write = (ino: number, offset: number, bytes: Buffer) =>
  guest.ask(
    question.write,
    ino,
    Buffer.concat([
      body(["u64", ino], ["u64", offset], ["u32", bytes.length], ["u32", 0], ["u64", 0], ["u64", 0]),
      bytes,
    ]),
  );
const read = (ino: number, size: number) =>
  guest.ask(question.read, ino, body(["u64", ino], ["u64", 0], ["u32", size], ["u32", 0], ["u64", 0]));
const inoIn = ({ body: answer }: { body: Buffer }) => Number(answer.readBigUInt64LE(0));

describe("a guest that means harm, towards its volume", () => {
  test("reaches nothing of the host by names or links: files have numbers there", async () => {
    open();
    for (const name of ["..", ".", "a/b", "../../etc/passwd", ""]) {
      expect((await mkdir(root, name)).error).toBe(errno.EINVAL);
      expect((await guest.ask(question.lookup, root, body(name))).error).toBe(errno.ENOENT);
    }
    expect((await mkdir(root, "n".repeat(256))).error).toBe(errno.ENAMETOOLONG);
    const link = await symlink("link", "/etc/passwd");
    expect(link.error).toBe(0);
    expect((await read(inoIn(link), 100)).error).toBe(errno.EINVAL);
    expect((await write(inoIn(link), 0, Buffer.from("x"))).error).toBe(errno.EINVAL);
    expect((await read(root, 100)).error).toBe(errno.EISDIR);
    const file = await create("passwd");
    expect((await write(inoIn(file), 0, Buffer.from("x"))).error).toBe(0);
    expect(readdirSync(join(directory, "volume", "contents"))).toEqual([String(inoIn(file))]);
  });

  test("makes no devices", async () => {
    open();
    const device = body(["u32", 0o020666], ["u32", 0x0103], ["u32", 0], ["u32", 0], "null");
    expect((await guest.ask(question.mknod, root, device)).error).toBe(errno.EPERM);
  });

  test("gets answers of bounded size, whatever size it asks for", async () => {
    open();
    for (let n = 0; n < 900; n++) await create(`${n}-${"n".repeat(240)}`);
    for (const kind of [question.readdir, question.readdirplus]) {
      const { error, body: listed } = await readdir(0xffff_ffff, kind);
      expect([error, listed.length <= 128 * 1024, listed.length > 100 * 1024]).toEqual([0, true, true]);
    }
    const big = inoIn(await create("big"));
    expect((await write(big, 8 * megabyte, Buffer.from("x"))).error).toBe(0);
    expect((await read(big, 0xffff_ffff)).body.length).toBe(128 * 1024);
  });

  test("cannot write, grow or reserve beyond the volume, and not by offsets that wrap around", async () => {
    open(4 * megabyte);
    const ino = inoIn(await create("f"));
    expect((await write(ino, 4 * megabyte - 1, Buffer.from("xy"))).error).toBe(errno.ENOSPC);
    expect((await write(ino, Number.MAX_SAFE_INTEGER, Buffer.from("x"))).error).toBe(errno.EFBIG);
    const huge = Buffer.concat([
      body(["u64", ino]),
      Buffer.alloc(8, 255),
      body(["u32", 1], ["u32", 0]),
      Buffer.alloc(17),
    ]);
    expect((await guest.ask(question.write, ino, huge)).error).toBe(errno.EINVAL);
    const grow = Buffer.alloc(88);
    grow.writeUInt32LE(8, 0);
    grow.writeBigUInt64LE(2n ** 50n, 16);
    expect((await guest.ask(question.setattr, ino, grow)).error).toBe(errno.ENOSPC);
    const reserve = body(["u64", ino], ["u64", 2 ** 52], ["u64", 2 ** 52], ["u32", 0], ["u32", 0]);
    expect((await guest.ask(question.fallocate, ino, reserve)).error).toBe(errno.ENOSPC);
    expect(files.tree.usage.usedBytes).toBe(0);
  });

  test("finds an end to names, also of files that are open and have none", async () => {
    open(megabyte);
    let made = 0;
    let error = 0;
    for (; error === 0 && made < 5_000; made++) {
      ({ error } = await create("f"));
      if (error === 0) ({ error } = await unlink("f"));
    }
    expect(error).toBe(errno.ENOSPC);
    expect(files.tree.usage).toMatchObject({ names: 1024, maxNames: 1024 });
    await guest.close();
    await files.detach("guest");
    expect(files.tree.usage.names).toBe(0);
  });

  test("has a bounded number of files open", async () => {
    open(megabyte, { maxOpen: 3 });
    for (const name of ["a", "b", "c"]) expect((await create(name)).error).toBe(0);
    expect((await create("d")).error).toBe(errno.ENFILE);
    const ino = inoIn(await guest.ask(question.lookup, root, body("a")));
    expect((await guest.ask(question.lookup, root, body("d"))).error).toBe(errno.ENOENT);
    expect((await guest.ask(question.open, ino, Buffer.alloc(8))).error).toBe(errno.ENFILE);
    await guest.ask(question.release, ino, Buffer.alloc(24));
    expect((await create("d")).error).toBe(0);
  });

  test("is not remembered without end, whatever numbers its questions have", async () => {
    open();
    for (let n = 0; n < 1_300; n++) {
      // Never near a multiple of 1024, never in order.
      const number = BigInt((n * 7919) % 1_000_003) * 1024n + 500n;
      await guest.ask(question.mkdir, root, body(["u32", 0o755], ["u32", 0], "d"), number);
      await guest.ask(question.rmdir, root, body("d"), number + 1n);
    }
    await close();
    const database = new DatabaseSync(join(directory, "volume", "tree.db"));
    const { count } = database.prepare("SELECT count(*) AS count FROM answers").get() as { count: number };
    database.close();
    expect(count).toBeLessThan(2048 + 256 + 1);
    open();
  });

  test("cannot make the host walk without end through directories within each other", async () => {
    open();
    let parent = root;
    for (let depth = 0; depth < 2_100; depth++) parent = inoIn(await mkdir(parent, "d"));
    const aside = inoIn(await mkdir(root, "aside"));
    expect(aside).toBeGreaterThan(0);
    const move = body(["u64", parent], "aside", "moved");
    expect((await guest.ask(question.rename, root, move)).error).toBe(errno.ELOOP);
  });

  test("cannot fill the host's disk: reading and deleting go on", async () => {
    let free = 2 ** 40;
    open(64 * megabyte, { room: new HostRoom("/", () => free) });
    const ino = inoIn(await create("f"));
    expect((await write(ino, 0, Buffer.from("kept"))).error).toBe(0);
    free = 100 * megabyte;
    expect((await write(ino, 0, Buffer.from("more"))).error).toBe(errno.ENOSPC);
    expect((await create("g")).error).toBe(errno.ENOSPC);
    expect((await mkdir(root, "d")).error).toBe(errno.ENOSPC);
    expect((await read(ino, 100)).body.toString()).toBe("kept");
    expect((await unlink("f")).error).toBe(0);
    free = 2 ** 40;
    expect((await create("g")).error).toBe(0);
  });

  test("changes nothing of a volume that it may only read, whatever its kernel thinks", async () => {
    open();
    const ino = inoIn(await create("f"));
    guest = connect({ id: "reader", readOnly: true });
    const changes = [
      await create("g"),
      await mkdir(root, "d"),
      await unlink("f"),
      await symlink("l", "f"),
      await write(ino, 0, Buffer.from("x")),
      await guest.ask(question.setattr, ino, Buffer.alloc(88)),
      await guest.ask(question.rename, root, body(["u64", root], "f", "g")),
      await guest.ask(question.link, root, body(["u64", ino], "g")),
    ];
    expect(changes.map(({ error }) => error)).toEqual(changes.map(() => errno.EROFS));
    expect((await guest.ask(question.lookup, root, body("f"))).error).toBe(0);
  });

  test("may send a question byte by byte", async () => {
    open();
    const answered = guest.ask(question.getattr, root, Buffer.alloc(16), 77n);
    expect((await answered).error).toBe(0);
    const message = Buffer.alloc(56);
    message.writeUInt32LE(56, 0);
    message.writeUInt32LE(question.getattr, 4);
    message.writeBigUInt64LE(root === 1 ? 1n : 0n, 16);
    for (const byte of message) {
      guest.send(Buffer.of(byte));
      await sleep(0);
    }
    expect((await guest.ask(question.statfs, root)).error).toBe(0);
    expect(guest.warnings).toEqual([]);
  });

  test.each([0, 39, 137 * 1024, 0xffff_ffff])("is cut off for a message of %i bytes", async (length) => {
    open();
    guest.send(body(["u32", length], ["u32", 3]));
    await guest.ended;
    expect(guest.warnings).toHaveLength(1);
    expect((await connect({ id: "other" }).ask(question.statfs, root)).error).toBe(0);
  });

  test("gets an answer to any question, and others go on", async () => {
    open();
    await create("f");
    const kinds = [...Object.values(question), 2, 36, 42, 46, 4096];
    const asked = fc.record({
      kind: fc.constantFrom(...kinds),
      ino: fc.oneof(fc.constantFrom(0, 1, 2, 3), fc.maxSafeNat()),
      body: fc.oneof(
        fc.uint8Array({ maxLength: 128 }),
        fc
          .tuple(fc.uint8Array({ minLength: 8, maxLength: 24 }), fc.string())
          .map(([head, name]) => Buffer.concat([head, Buffer.from(`${name}\0${name}2\0`)])),
      ),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(asked, { maxLength: 20 }), async (questions) => {
        for (const { kind, ino, body: bytes } of questions) {
          const { error } = await guest.ask(kind, ino, bytes);
          expect(error).toBeGreaterThanOrEqual(0);
          expect(error).not.toBe(errno.EIO);
        }
        expect((await guest.ask(question.getattr, root, Buffer.alloc(16))).error).toBe(0);
      }),
      { numRuns: 200 },
    );
    expect(guest.warnings).toEqual([]);
  });
});
