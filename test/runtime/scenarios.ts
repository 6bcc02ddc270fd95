import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ExecFailure, type Group, type Sandbox } from "../../provider/runtime";

/**
 * What Azure's API has no way to do; then the documented other thing happens:
 * - `streamedInput`: input in pieces, or with an end, is refused
 * - `signals`: none can be sent, and a program ended by one is told by 128 plus its number, as shells say it
 * - `startFailures`: a program that cannot be started is told by exit code 127
 * - `aborts`: aborting one request ends the waiting, not the program
 * - `background`: programs in the background are refused
 */
export type Lack = "streamedInput" | "signals" | "startFailures" | "aborts" | "background";

export interface ScenarioTarget {
  lacks?: readonly Lack[];
  /** What a sandbox gets when nothing is asked for; default 512Mi. */
  memory?: string;
  /** A group with nothing in it. */
  group: Group;
  /** An image that has a shell and the usual small tools. */
  image: string;
  close: () => Promise<void>;
}

/**
 * What the runtime promises, on whatever target. Programs name files relative to `/`, where they start, since a target
 * need not be a machine of its own.
 */
export function runtimeScenarios(name: string, open: () => Promise<ScenarioTarget>): void {
  describe(`the runtime on ${name}`, () => {
    let target: ScenarioTarget;
    let sandbox: Sandbox;
    beforeAll(async () => {
      target = await open();
      sandbox = await target.group.createSandbox({
        image: target.image,
        env: { FROM_SANDBOX: "1" },
        labels: { a: "1" },
      });
    });
    const lacks = (lack: Lack) => target.lacks?.includes(lack) ?? false;
    const unsupported = { code: "Unsupported" };

    afterAll(async () => {
      await sandbox?.delete();
      const left = [];
      for await (const each of target.group.listSandboxes()) left.push(each.id);
      await target.close();
      expect(left).toEqual([]);
    });

    describe("exec", () => {
      it("tells output, errors and exit code apart", async () => {
        const result = await sandbox.exec(["sh", "-c", "echo out; echo err >&2; exit 7"]);
        expect(result).toMatchObject({ exitCode: 7, signal: null, stdout: "out\n", stderr: "err\n" });
        expect(result).toMatchObject({ timedOut: false, truncated: false, durationMs: expect.any(Number) });
      });

      it("runs a line of shell", async () => {
        expect((await sandbox.exec("printf '%s' \"$((40 + 2))\"")).stdout).toBe("42");
      });

      it("passes arguments untouched by any shell", async () => {
        const odd = ["", "a b", "$HOME", "'\"\\", "*", "ü€😀", "\n"];
        const { stdout } = await sandbox.exec(["printf", "[%s]", ...odd]);
        expect(stdout).toBe(odd.map((text) => `[${text}]`).join(""));
      });

      it("has the sandbox's environment and its own", async () => {
        const { stdout } = await sandbox.exec('echo "$FROM_SANDBOX $MINE"', { env: { MINE: "2" } });
        expect(stdout).toBe("1 2\n");
      });

      it("starts in the directory asked for", async () => {
        expect((await sandbox.exec("pwd", { cwd: "/tmp" })).stdout).toBe("/tmp\n");
      });

      it.each([
        ["text", "one ü\n"],
        ["bytes", Buffer.from("one ü\n")],
        ["pieces", pieces(["one ", Buffer.from("ü\n")])],
      ])("gives a program its input as %s", async (name, stdin) => {
        if (name === "pieces" && lacks("streamedInput")) {
          return expect(sandbox.exec(["cat"], { stdin })).rejects.toMatchObject(unsupported);
        }
        expect((await sandbox.exec(["cat"], { stdin })).stdout).toBe("one ü\n");
      });

      it("gives a program without input an empty one", async () => {
        expect(await sandbox.exec(["cat"])).toMatchObject({ exitCode: 0, stdout: "" });
        expect(await sandbox.exec(["cat"], { onStdout: () => {} })).toMatchObject({ exitCode: 0, stdout: "" });
      });

      it("does not mind a program that leaves its input unread", async () => {
        if (lacks("streamedInput")) {
          return expect(await sandbox.exec(["true"], { stdin: Buffer.alloc(2 ** 20) })).toMatchObject({ exitCode: 0 });
        }
        const endless = (async function* () {
          for (;;) yield Buffer.alloc(64 * 1024);
        })();
        expect(await sandbox.exec(["true"], { stdin: endless })).toMatchObject({ exitCode: 0 });
        const silent = (async function* () {
          await new Promise(() => {});
          yield "never";
        })();
        expect(await sandbox.exec(["true"], { stdin: silent })).toMatchObject({ exitCode: 0 });
      });

      it("hands out output while the program runs", async () => {
        const seen = Promise.withResolvers<void>();
        const stdin = (async function* () {
          await seen.promise;
          yield "go\n";
        })();
        if (lacks("streamedInput")) {
          const onStdout = () => seen.resolve();
          const running = sandbox.exec("echo first; sleep 0.3; echo last", { onStdout });
          await seen.promise;
          return expect((await running).stdout).toBe("first\nlast\n");
        }
        const heard: string[] = [];
        const result = await sandbox.exec('echo first; read word; echo "$word" >&2', {
          stdin,
          onStdout: (text) => {
            heard.push(text);
            seen.resolve();
          },
          onStderr: (text) => void heard.push(text),
        });
        expect(heard).toEqual(["first\n", "go\n"]);
        expect(result).toMatchObject({ exitCode: 0, stdout: "first\n", stderr: "go\n" });
      });

      it("hands out whole characters, however the bytes come", async () => {
        const heard: string[] = [];
        const line = "printf '\\303'; sleep 0.05; printf '\\274'";
        const { stdout } = await sandbox.exec(line, { onStdout: (text) => void heard.push(text) });
        expect([stdout, heard.join("")]).toEqual(["ü", "ü"]);
      });

      it.each([
        ["in one request", {}],
        ["as a stream", { onStdout: () => {} }],
      ])("keeps no more output than asked for, %s", async (_name, options) => {
        const line = "yes ü | head -c 300000; echo end >&2";
        const result = await sandbox.exec(line, { ...options, maxOutputBytes: 1000 });
        expect(result).toMatchObject({ exitCode: 0, truncated: true, stderr: "end\n" });
        expect(result.stdout).toBe("ü\n".repeat(333)); // The 1000th byte is half a character.
      });

      it.each([
        ["in one request", {}],
        ["as a stream", { onStdout: () => {} }],
      ])("ends a program that takes too long, %s", async (_name, options) => {
        const result = await sandbox.exec(["sh", "-c", "echo begun; sleep 600"], { ...options, timeoutMs: 3000 });
        expect(result).toMatchObject({ exitCode: null, signal: "SIGKILL", timedOut: true, stdout: "begun\n" });
      });

      it.each([
        ["in one request", {}],
        ["as a stream", { onStdout: () => {} }],
      ])("tells which signal ended a program, %s", async (_name, options) => {
        const result = await sandbox.exec(["sh", "-c", "kill -TERM $$"], options);
        if (lacks("signals")) return expect(result).toMatchObject({ exitCode: 143, signal: null, timedOut: false });
        expect(result).toMatchObject({ exitCode: null, signal: "SIGTERM", timedOut: false });
      });

      it.each([
        ["in one request", {}],
        ["as a stream", { onStdout: () => {} }],
      ])("rejects when a program cannot be started, %s", async (_name, options) => {
        if (lacks("startFailures")) {
          return expect(await sandbox.exec(["/no/such/program"], options)).toMatchObject({
            exitCode: 127,
            stderr: expect.stringContaining("/no/such/program"),
          });
        }
        await expect(sandbox.exec(["/no/such/program"], options)).rejects.toMatchObject({
          code: "ExecFailed",
          message: expect.stringContaining("/no/such/program"),
        });
      });

      it("rejects with the caller's reason when aborted", async () => {
        const reason = new Error("enough");
        for (const options of [{}, { onStdout: () => {} }]) {
          const controller = new AbortController();
          const running = sandbox.exec(["sleep", "600"], { ...options, signal: controller.signal });
          setTimeout(() => controller.abort(reason), 100);
          await expect(running).rejects.toBe(reason);
        }
      });

      it.each([
        ["in one request", {}],
        ["as a stream", { onStdout: () => {} }],
      ])("ends an aborted program in the guest too, %s", async (name, options) => {
        const controller = new AbortController();
        await sandbox.exec("rm -f tmp/pid");
        const line = "echo $$ > tmp/pid.new; mv tmp/pid.new tmp/pid; exec sleep 600";
        const running = sandbox.exec(line, { ...options, signal: controller.signal }).catch((reason) => reason);
        await expect.poll(async () => (await sandbox.exec("test -s tmp/pid")).exitCode).toBe(0);
        controller.abort(new Error("enough"));
        expect(await running).toMatchObject({ message: "enough" });
        if (name === "in one request" && lacks("aborts")) {
          return expect((await sandbox.exec('kill -9 "$(cat tmp/pid)"')).exitCode).toBe(0);
        }
        const alive = async () => (await sandbox.exec('kill -0 "$(cat tmp/pid)"')).exitCode;
        await expect.poll(alive).not.toBe(0);
      });

      it("ends the program when a listener or the input fails", async () => {
        const fault = new Error("mine");
        const failing = (async function* () {
          yield "x";
          throw fault;
        })();
        const onStdout = () => Promise.reject(fault);
        await expect(sandbox.exec("echo x; sleep 600", { onStdout })).rejects.toBe(fault);
        const failed = expect(sandbox.exec("sleep 600", { stdin: failing })).rejects;
        await (lacks("streamedInput") ? failed.toMatchObject({}) : failed.toBe(fault));
      });

      it("rejects a failed program when asked to check, and tells its result", async () => {
        const failure = await sandbox.exec("echo partly; echo 'no luck' >&2; exit 3", { check: true }).catch((e) => e);
        expect(failure).toBeInstanceOf(ExecFailure);
        expect(failure).toMatchObject({
          code: "ExecFailed",
          message: "The shell command exited with code 3: no luck",
          result: { exitCode: 3, stdout: "partly\n" },
        });
        expect((await sandbox.exec("true", { check: true })).exitCode).toBe(0);
      });

      it("runs many at once, each with its own output", async () => {
        const numbers = Array.from({ length: 12 }, (_value, index) => String(index));
        const results = await Promise.all(numbers.map((number) => sandbox.exec(["echo", number])));
        expect(results.map((result) => result.stdout.trim())).toEqual(numbers);
      });
    });

    describe("spawn", () => {
      it("converses with a program", async () => {
        const cat = await sandbox.spawn(["cat"]);
        for (const word of ["one", "two"]) {
          const answer = once(cat.stdout, "data");
          cat.stdin.write(word);
          expect(String((await answer)[0])).toBe(word);
        }
        cat.stdin.end();
        if (lacks("streamedInput")) return expect(cat.wait()).rejects.toMatchObject(unsupported);
        expect(await cat.wait()).toMatchObject({ exitCode: 0, signal: null });
        expect(await cat.wait()).toMatchObject({ exitCode: 0 });
      });

      it("sends signals", async () => {
        const sleeper = await sandbox.spawn("echo ready; exec sleep 600");
        await once(sleeper.stdout, "data");
        if (lacks("signals")) {
          expect(() => sleeper.kill("SIGTERM")).toThrow(expect.objectContaining(unsupported));
          return;
        }
        sleeper.kill("SIGTERM");
        expect(await sleeper.wait()).toMatchObject({ exitCode: null, signal: "SIGTERM" });
      });

      it("does not stand still because nobody reads", async () => {
        const process = await sandbox.spawn("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2");
        expect((await process.wait()).exitCode).toBe(0);
      });

      it("loses nothing to a slow reader", async () => {
        const process = await sandbox.spawn("head -c 5000000 /dev/zero | tr '\\0' x");
        let length = 0;
        for await (const chunk of process.stdout as AsyncIterable<Buffer>) {
          if (length < 500_000) await new Promise((resolve) => setTimeout(resolve, 5));
          length += chunk.length;
        }
        expect(length).toBe(5_000_000);
        expect((await process.wait()).exitCode).toBe(0);
      });

      it("tells by wait that a program could not be started", async () => {
        const process = await sandbox.spawn(["/no/such/program"]);
        if (lacks("startFailures")) return expect(await process.wait()).toMatchObject({ exitCode: 127 });
        await expect(process.wait()).rejects.toMatchObject({ code: "ExecFailed" });
        await expect(text(process.stdout)).rejects.toMatchObject({ code: "ExecFailed" });
      });

      it("kills the program when aborted", async () => {
        const controller = new AbortController();
        const reason = new Error("enough");
        const process = await sandbox.spawn(["sleep", "600"], { signal: controller.signal });
        controller.abort(reason);
        await expect(process.wait()).rejects.toBe(reason);
      });
    });

    describe("background", () => {
      it("starts a program that is found again by its id, with what it printed and how it ended", async () => {
        const line = "echo one; sleep 0.2; echo two >&2; echo three; exit 3";
        const starting = sandbox.background.start(line, { env: { A: "b" } });
        if (lacks("background")) return expect(starting).rejects.toMatchObject(unsupported);
        const started = await starting;
        expect(started.exit).toBeUndefined();
        expect(await started.wait()).toMatchObject({ exitCode: 3, signal: null, timedOut: false });
        const again = await (await target.group.getSandbox(sandbox.id)).background.get(started.id);
        expect(again.command).toEqual(["/bin/sh", "-c", line]);
        expect(again.exit).toMatchObject({ exitCode: 3 });
        expect(await again.output()).toEqual({ stdout: "one\nthree\n", stderr: "two\n", truncated: false, next: 14 });
        expect((await again.output({ from: 4 })).stdout).toBe("three\n");
        expect((await sandbox.background.list()).map(({ id }) => id)).toContain(started.id);
        await again.remove();
        await again.remove();
        await expect(sandbox.background.get(started.id)).rejects.toMatchObject({ code: "ProcessNotFound" });
        await expect(started.output()).rejects.toMatchObject({ code: "ProcessNotFound" });
      });

      it("follows what is printed until the program ends, from any place on", async () => {
        if (lacks("background")) return;
        const job = await sandbox.background.start("for i in 1 2 3 4; do echo $i; sleep 0.1; done");
        const read = async (from: number) => {
          let text = "";
          for await (const { data, dropped } of job.follow({ from })) {
            expect(dropped).toBe(0);
            text += data;
          }
          return text;
        };
        expect(await Promise.all([read(0), read(0)])).toEqual(["1\n2\n3\n4\n", "1\n2\n3\n4\n"]);
        expect(await read(2)).toBe("2\n3\n4\n");
        await expect(job.output({ from: 99 })).rejects.toMatchObject({ code: "Invalid", field: "from" });
        await job.remove();
      });

      it("tells what was dropped of a program that prints more than is kept", async () => {
        if (lacks("background")) return;
        const job = await sandbox.background.start("yes | head -c 900000; printf end");
        await job.wait();
        const { stdout, truncated, next } = await job.output();
        expect([truncated, next, stdout.endsWith("y\nend")]).toEqual([true, 900_003, true]);
        expect(stdout.length).toBeLessThanOrEqual(256 * 1024);
        const pieces = [];
        for await (const piece of job.follow()) pieces.push(piece);
        const told = pieces.reduce((sum, { data, dropped }) => sum + data.length + dropped, 0);
        expect(told).toBe(900_003);
        await job.remove();
      });

      it("signals a program, and ends it with all that it left", async () => {
        if (lacks("background")) return;
        const job = await sandbox.background.start(
          "trap 'echo heard; exit 5' TERM; echo ready; while :; do sleep 0.1; done",
        );
        for await (const { data } of job.follow()) if (String(data) === "ready\n") break;
        await job.kill("SIGTERM");
        expect(await job.wait()).toMatchObject({ exitCode: 5 });
        expect((await job.output()).stdout).toBe("ready\nheard\n");
        const limited = await sandbox.background.start(["sleep", "600"], { timeoutMs: 300 });
        expect(await limited.wait()).toMatchObject({ exitCode: null, signal: "SIGKILL", timedOut: true });
      });

      it("starts a program once, however often the same id is asked for", async () => {
        if (lacks("background")) return;
        const starts = [1, 2, 3].map(() => sandbox.background.start("echo x; sleep 600", { id: "just-once" }));
        const [one] = await Promise.all(starts);
        for await (const { data } of one!.follow()) {
          expect(String(data)).toBe("x\n");
          break;
        }
        expect((await sandbox.background.list()).filter(({ id }) => id === "just-once")).toHaveLength(1);
        await one!.remove();
      });

      it("refuses what cannot be started, and names that are none", async () => {
        if (lacks("background")) return;
        const { background } = sandbox;
        await expect(background.start(["/no/such"])).rejects.toMatchObject({ code: "ExecFailed" });
        await expect(background.start("true", { cwd: "/no/such" })).rejects.toMatchObject({ code: "ExecFailed" });
        const invalid = { code: "Invalid", field: expect.stringContaining("processId") };
        await expect(background.start("true", { id: "no such name" })).rejects.toMatchObject(invalid);
        await expect(background.start("true", { id: "main" })).rejects.toMatchObject(invalid);
        await expect(background.get("unknown")).rejects.toMatchObject({ code: "ProcessNotFound" });
      });
    });

    describe("files", () => {
      it("come back as they were written, and programs see them", async () => {
        const bytes = Buffer.from(Array.from({ length: 1000 }, (_value, index) => index % 256));
        await sandbox.files.write("/tmp/deep/er/bytes", bytes);
        expect((await sandbox.files.read("/tmp/deep/er/bytes")).equals(bytes)).toBe(true);
        expect((await sandbox.exec("wc -c < tmp/deep/er/bytes")).stdout.trim()).toBe("1000");
        await sandbox.files.write("/tmp/deep/er/bytes", "ü", { mode: 0o600 });
        expect(await sandbox.files.readText("/tmp/deep/er/bytes")).toBe("ü");
        await sandbox.files.write("/tmp/empty", "");
        expect((await sandbox.files.stat("/tmp/empty")).sizeBytes).toBe(0);
      });

      it("with odd names are told apart", async () => {
        const names = ["a b", "a+b", "a%20b", "ü&=#?", "-"];
        for (const name of names) await sandbox.files.write(`/tmp/odd/${name}`, name);
        const listed = await sandbox.files.list("/tmp/odd");
        expect(listed.map((entry) => entry.name)).toEqual([...names].sort());
        for (const name of names) expect(await sandbox.files.readText(`/tmp/odd/${name}`)).toBe(name);
      });

      it("are written from a stream", async () => {
        await sandbox.files.write("/tmp/stream", pieces(Array.from({ length: 50 }, () => Buffer.alloc(100_000, "x"))));
        expect((await sandbox.files.stat("/tmp/stream")).sizeBytes).toBe(5_000_000);
      });

      it("are listed with type, size and permissions", async () => {
        await sandbox.files.mkdir("/tmp/list/sub");
        await sandbox.files.mkdir("/tmp/list/sub");
        await sandbox.files.write("/tmp/list/.hidden", "12345", { mode: 0o750 });
        await sandbox.exec("ln -s nowhere tmp/list/link", { check: true });
        const entries = await sandbox.files.list("/tmp/list");
        expect(entries.map((entry) => [entry.name, entry.type])).toEqual([
          [".hidden", "file"],
          ["link", "symlink"],
          ["sub", "directory"],
        ]);
        expect(entries[0]).toMatchObject({ path: "/tmp/list/.hidden", sizeBytes: 5, mode: 0o750 });
        expect(entries[0]?.modifiedAt).toBeInstanceOf(Date);
      });

      it("are removed, trees only when asked to", async () => {
        await sandbox.files.write("/tmp/gone/file", "x");
        await expect(sandbox.files.remove("/tmp/gone")).rejects.toMatchObject({ code: "FileConflict" });
        await sandbox.files.remove("/tmp/gone", { recursive: true });
        for (const call of ["read", "list", "stat", "remove"] as const) {
          await expect(sandbox.files[call]("/tmp/gone")).rejects.toMatchObject({ code: "FileNotFound" });
        }
      });

      it("are copied in and out as trees, links left out and named", async () => {
        const local = await mkdtemp(join(tmpdir(), "sandboxes-"));
        try {
          await mkdir(join(local, "tree/sub"), { recursive: true });
          await writeFile(join(local, "tree/run.sh"), "echo hello");
          await chmod(join(local, "tree/run.sh"), 0o755);
          await writeFile(join(local, "tree/sub/ü"), Buffer.alloc(200_000, 7));
          await symlink("/etc/passwd", join(local, "tree/link"));
          const up = await sandbox.files.upload(join(local, "tree"), "/tmp/copy");
          expect(up).toEqual({ files: 2, bytes: 200_010, skipped: [join(local, "tree/link")] });
          expect((await sandbox.exec(["sh", "tmp/copy/run.sh"])).stdout).toBe("hello\n");
          await sandbox.exec("ln -s /etc/passwd tmp/copy/sub/evil", { check: true });
          const down = await sandbox.files.download("/tmp/copy", join(local, "back"));
          expect(down).toEqual({ files: 2, bytes: 200_010, skipped: ["/tmp/copy/sub/evil"] });
          expect(await readFile(join(local, "back/sub/ü"))).toEqual(Buffer.alloc(200_000, 7));
          expect((await stat(join(local, "back/run.sh"))).mode & 0o777).toBe(0o755);
          await expect(sandbox.files.upload(join(local, "none"), "/tmp/x")).rejects.toMatchObject({ code: "Invalid" });
        } finally {
          await rm(local, { recursive: true });
        }
      });
    });

    describe("the life of a sandbox", () => {
      it("tells what it is", async () => {
        expect(sandbox.id).toMatch(/^[0-9a-f]{8}-/);
        expect(sandbox).toMatchObject({ state: "Running", labels: { a: "1" }, isolation: target.group.isolation });
        expect(sandbox.resources).toMatchObject({ cpu: "1000m", memory: target.memory ?? "512Mi" });
        expect(sandbox.createdAt).toBeInstanceOf(Date);
        expect((await target.group.getSandbox(sandbox.id)).id).toBe(sandbox.id);
      });

      it("stops and goes on where it was", async () => {
        await using other = await target.group.createSandbox({ image: target.image });
        await other.files.write("/tmp/kept", "kept");
        await other.stop();
        expect(other.state).toBe("Stopped");
        await expect(other.exec(["true"])).rejects.toMatchObject({ code: "NotRunning", status: 409 });
        await expect(other.spawn(["true"]).then((process) => process.wait())).rejects.toMatchObject({
          code: "NotRunning",
        });
        await expect(other.stop()).rejects.toMatchObject({ code: "NotRunning" });
        await other.resume();
        expect((await other.refresh()).state).toBe("Running");
        expect(await other.files.readText("/tmp/kept")).toBe("kept");
        await expect(other.resume()).rejects.toMatchObject({ code: "InvalidState" });
      });

      it("ends with the scope, and is gone then", async () => {
        let id: string;
        {
          await using scoped = await target.group.createSandbox({ image: target.image });
          id = scoped.id;
        }
        await expect(target.group.getSandbox(id)).rejects.toMatchObject({ code: "SandboxNotFound", status: 404 });
        await expect(sandbox.exec([])).rejects.toMatchObject({ code: "Invalid" });
      });

      it("is deleted twice without complaint", async () => {
        const doomed = await target.group.createSandbox({ image: target.image });
        await doomed.delete();
        await doomed.delete();
        const gone = { code: "SandboxNotFound" };
        await expect(doomed.exec(["true"])).rejects.toMatchObject(gone);
        await expect(doomed.files.read("/tmp")).rejects.toMatchObject(gone);
        const large = pieces(Array.from({ length: 100 }, () => Buffer.alloc(100_000)));
        await expect(doomed.files.write("/tmp/large", large)).rejects.toMatchObject(gone);
      });

      it("is found by its labels", async () => {
        await using one = await target.group.createSandbox({ image: target.image, labels: { a: "1", b: "x=y" } });
        const ids = async (labels?: Record<string, string>) => {
          const found = [];
          for await (const each of target.group.listSandboxes({ labels })) found.push(each.id);
          return found.sort();
        };
        expect(await ids({ b: "x=y" })).toEqual([one.id]);
        expect(await ids({ a: "1" })).toEqual([one.id, sandbox.id].sort());
        expect(await ids()).toEqual([one.id, sandbox.id].sort());
        expect(await ids({ a: "2" })).toEqual([]);
      });

      it("is refused when what is asked for makes no sense, naming the field", async () => {
        const create = (options: object) => target.group.createSandbox({ image: target.image, ...options });
        await expect(create({ resources: { memory: "2GB" } })).rejects.toMatchObject({
          code: "Invalid",
          field: "resources.memory",
        });
        await expect(create({ labels: { key: "x".repeat(64) } })).rejects.toMatchObject({ code: "Invalid" });
      });
    });
  });
}

async function* pieces<T>(all: T[]): AsyncGenerator<T> {
  yield* all;
}
