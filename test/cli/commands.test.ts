import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Writable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Command, type CommandIo, exitCodeOf } from "../../provider/cli/command";
import { cpCommand } from "../../provider/cli/cp";
import { doctorCommand } from "../../provider/cli/doctor";
import { execCommand } from "../../provider/cli/exec";
import { hostGc } from "../../provider/cli/hostGc";
import { imageCommand } from "../../provider/cli/image";
import { lsCommand } from "../../provider/cli/ls";
import { runCommand } from "../../provider/cli/run";
import { connect, type Group, type Sandbox } from "../../provider/runtime";
import { RunningHost } from "../host/fakes/runningHost";
import { capture } from "./captured";

let host: RunningHost;
let group: Group;
let sandbox: Sandbox;
const run = (command: Command, argv: string[], more: { stdin?: string; io?: Partial<CommandIo> } = {}) =>
  capture(command, argv, { endpoint: `unix:${host.socket}`, ...more });

beforeAll(async () => {
  host = await new RunningHost().start();
  group = await connect({ endpoint: `unix:${host.socket}` });
  sandbox = await group.createSandbox({ image: "ubuntu", labels: { name: "one" } });
});
afterAll(() => host.close());

async function sandboxCount(): Promise<number> {
  return JSON.parse((await run(lsCommand, ["--json"])).stdout).length;
}

describe("sandboxes run", () => {
  it("has the program's output and exit code, and leaves no sandbox", async () => {
    const argv = ["ubuntu", "--", "sh", "-c", "echo out; echo err >&2; exit 5"];
    expect(await run(runCommand, argv)).toEqual({ exitCode: 5, stdout: "out\n", stderr: "err\n" });
    expect(await sandboxCount()).toBe(1);
  });

  it("passes environment, directory and, when asked to, its input", async () => {
    const argv = ["-i", "-e", "WORD=hi", "--cwd", "/usr", "ubuntu", "--", "sh", "-c", 'echo "$WORD $PWD"; cat'];
    expect((await run(runCommand, argv, { stdin: "from outside" })).stdout).toBe("hi /usr\nfrom outside");
    expect((await run(runCommand, ["ubuntu", "--", "cat"], { stdin: "not wanted" })).stdout).toBe("");
  });

  it("prints one object with --json", async () => {
    const { exitCode, stdout } = await run(runCommand, ["--json", "ubuntu", "--", "sh", "-c", "echo x; exit 1"]);
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ exitCode: 1, stdout: "x\n", stderr: "", timedOut: false });
  });

  it("ends a program in time, with the exit code of timeout(1)", async () => {
    const { exitCode } = await run(runCommand, ["--timeout", "0.3", "ubuntu", "--", "sleep", "600"]);
    expect(exitCode).toBe(124);
  });

  it("deletes its sandbox when interrupted", async () => {
    const controller = new AbortController();
    const stdout = new Writable({ write: (_chunk, _encoding, done) => done() });
    stdout.once("pipe", () => setTimeout(() => controller.abort(new Error("SIGINT")), 50));
    const running = run(runCommand, ["ubuntu", "--", "sleep", "600"], { io: { signal: controller.signal, stdout } });
    await expect(running).rejects.toThrow("SIGINT");
    expect(await sandboxCount()).toBe(1);
  });

  it("ends the program when its own reader is gone", async () => {
    const stdout = new Writable({ write: (_chunk, _encoding, done) => done(new Error("EPIPE")) });
    stdout.on("error", () => {});
    const { exitCode } = await run(runCommand, ["ubuntu", "--", "yes"], { io: { stdout } });
    expect(exitCode).toBe(128 + 13);
    expect(await sandboxCount()).toBe(1);
  });
});

describe("sandboxes exec", () => {
  it("finds a sandbox by the beginning of its id", async () => {
    expect((await run(execCommand, [sandbox.id.slice(0, 8), "--", "echo", "here"])).stdout).toBe("here\n");
    expect((await run(execCommand, [sandbox.id, "--", "echo", "there"])).stdout).toBe("there\n");
  });

  it("refuses a beginning that fits none or several", async () => {
    const found = await run(execCommand, ["zzz", "--", "true"]).catch((error) => error);
    expect(exitCodeOf(found)).toBe(2);
    expect(found.hint).toContain("sandboxes ls");
  });

  it("sets a terminal to raw for the time of the program, and tells new sizes", async () => {
    const modes: boolean[] = [];
    const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: (raw: boolean) => modes.push(raw) });
    const written: string[] = [];
    const write = (chunk: Buffer, _encoding: string, done: () => void) => {
      written.push(String(chunk));
      stdout.emit("resize");
      stdin.end();
      done();
    };
    const stdout = Object.assign(new Writable({ write }), { isTTY: true, rows: 40, columns: 120 });
    const { exitCode } = await run(execCommand, ["-it", sandbox.id, "--", "sh", "-c", "echo hi; cat"], {
      io: { stdin, stdout },
    });
    expect([exitCode, modes, written.join("")]).toEqual([0, [true, false], "hi\n"]);
    expect(host.machines.vms.values().next().value?.agent.requests.at(-1)?.tty).toEqual({ rows: 40, columns: 120 });
  });
});

describe("sandboxes ls", () => {
  it("shows a line for each, and only those of a label", async () => {
    const { stdout } = await run(lsCommand, []);
    expect(stdout.split("\n")[0]).toMatch(/^ID +STATE +IMAGE +CPU +MEMORY +CREATED +LABELS$/);
    expect(stdout.split("\n")[1]).toMatch(new RegExp(`^${sandbox.id}  Running  ubuntu  1000m  512Mi .* name=one$`));
    expect((await run(lsCommand, ["-l", "name=two", "--json"])).stdout).toBe("[]\n");
    expect(JSON.parse((await run(lsCommand, ["-l", "name=one", "--json"])).stdout)).toMatchObject([{ id: sandbox.id }]);
  });
});

describe("sandboxes host gc", () => {
  const gc = { name: "host", summary: "", usage: "", run: hostGc.run };

  it("says what would go, removes it, and then has nothing to do", async () => {
    host.machines.stale.push("0123456789abcdef0123456789abcdef01234567");
    const told = await run(gc, ["--dry-run"]);
    expect(told.stdout).toMatch(/^KIND +ID +MB +ABOUT\ntemplate {2}0123456789abcdef {2}7\.3 {2}made by another kernel/);
    expect(told.stdout).toMatch(/^would remove 1 thing, 7\.3 MB$/m);
    const removed = await run(gc, ["--json"]);
    expect(JSON.parse(removed.stdout)).toMatchObject({
      ...{ dryRun: false, sizeBytes: 7 * 2 ** 20 },
      items: [{ kind: "template", id: "0123456789abcdef0123456789abcdef01234567" }],
    });
    expect(await run(gc, [])).toEqual({ exitCode: 0, stdout: "nothing to remove\n", stderr: "" });
  });

  it("takes one host, and nothing it does not know", async () => {
    for (const argv of [["now"], ["--force"], ["--data", "/x", "--endpoint", "unix:/y"]]) {
      const error = await run(gc, argv).catch((caught: unknown) => caught);
      expect(exitCodeOf(error)).toBe(2);
    }
  });
});

describe("sandboxes image", () => {
  it("imports, prints the id, and lists", async () => {
    const { stdout } = await run(imageCommand, ["import", "--name", "mine", "alpine:3.20"]);
    const listed = JSON.parse((await run(imageCommand, ["ls", "--json"])).stdout);
    expect(listed.publicImages.map((image: { name: string }) => image.name)).toEqual(["ubuntu", "python"]);
    expect(listed.diskImages).toMatchObject([{ id: stdout.trim(), image: { base: "alpine:3.20" }, name: "mine" }]);
    expect((await run(imageCommand, ["ls"])).stdout).toContain("alpine:3.20");
  });

  it("fails with the reason", async () => {
    await expect(run(imageCommand, ["import", "missing:1"])).rejects.toMatchObject({ code: "ImageNotFound" });
  });
});

describe("sandboxes cp", () => {
  it("copies in and out, into directories under the own name", async () => {
    const local = await mkdtemp(join(tmpdir(), "sandboxes-"));
    try {
      await writeFile(join(local, "a.txt"), "a");
      await run(cpCommand, [join(local, "a.txt"), `${sandbox.id.slice(0, 8)}:/tmp`]);
      expect(await sandbox.files.readText("/tmp/a.txt")).toBe("a");
      await run(cpCommand, [join(local, "a.txt"), `${sandbox.id}:/tmp/b.txt`]);
      const back = await run(cpCommand, ["--json", `${sandbox.id}:/tmp/b.txt`, local]);
      expect(JSON.parse(back.stdout)).toEqual({ files: 1, bytes: 1, skipped: [] });
      expect(await readFile(join(local, "b.txt"), "utf8")).toBe("a");
    } finally {
      await rm(local, { recursive: true });
    }
  });

  it("names a path that is not there", async () => {
    const copy = run(cpCommand, [`${sandbox.id}:/none`, "/tmp/never"]);
    await expect(copy).rejects.toMatchObject({ code: "FileNotFound", message: expect.stringContaining("/none") });
    await sandbox.files.write("/tmp/c.txt", "c");
    await expect(run(cpCommand, [`${sandbox.id}:/tmp/c.txt`, "/nonexistent/c"])).rejects.toMatchObject({
      code: "Invalid",
      message: 'Cannot write the local path "/nonexistent/c": ENOENT',
    });
  });
});

describe("sandboxes doctor", () => {
  it("prints each check, and the same as JSON", async () => {
    const { stdout, exitCode } = await run(doctorCommand, ["--json"]);
    const report = JSON.parse(stdout);
    expect(exitCode).toBe(report.ok ? 0 : 1);
    const plain = await run(doctorCommand, []);
    for (const check of report.checks) expect(plain.stdout).toContain(`${check.name}: `);
  });
});

describe("a bad command line", () => {
  it.each<[string, Command, string[]]>([
    ["no image", runCommand, []],
    ["no program", runCommand, ["ubuntu"]],
    ["an empty program", runCommand, ["ubuntu", "--"]],
    ["a program without --", runCommand, ["ubuntu", "echo", "hi"]],
    ["an unknown option", runCommand, ["--fast", "ubuntu", "--", "true"]],
    ["a variable without value", runCommand, ["-e", "X", "ubuntu", "--", "true"]],
    ["no number", runCommand, ["--timeout", "soon", "ubuntu", "--", "true"]],
    ["a terminal that is none", runCommand, ["-it", "ubuntu", "--", "sh"]],
    ["a terminal as JSON", runCommand, ["-t", "--json", "ubuntu", "--", "sh"]],
    ["no id", execCommand, ["--", "true"]],
    ["an odd word", lsCommand, ["all"]],
    ["no verb", imageCommand, []],
    ["an unknown verb", imageCommand, ["pull", "x"]],
    ["an import of nothing", imageCommand, ["import"]],
    ["a copy from nowhere", cpCommand, ["one"]],
    ["a copy between local paths", cpCommand, ["one", "two"]],
    ["a copy between sandboxes", cpCommand, ["a1:/x", "b2:/y"]],
  ])("with %s is exit code 2 and hints at what is right", async (_name, command, argv) => {
    const error = await run(command, argv).catch((reason) => reason);
    expect(error).toMatchObject({ code: "Invalid", hint: expect.any(String) });
    expect(exitCodeOf(error)).toBe(2);
  });
});
