import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import type { ExecRequest } from "../../../../provider/host/vm/guestAgent";
import { createQemuDriver } from "../../../../provider/host/vm/qemu";
import { guestProcesses, run, shell } from "../guestCommands";
import { bytesOf, type RealGuest, sleepMark } from "./realGuest";

const env = { PATH: "/bin" };

/** How programs start, end and are told apart. */
export function describePrograms(guest: () => RealGuest): void {
  describe("a program", () => {
    it("ends with its exit code, whichever it is", async () => {
      const codes = [0, 1, 2, 42, 126, 127, 128, 137, 255];
      const ends = await Promise.all(codes.map((code) => shell(guest().agent, `exit ${code}`)));
      expect(ends.map(({ exitCode, signal }) => [exitCode, signal])).toEqual(codes.map((code) => [code, null]));
    });

    it("that a signal ends is told by the signal's name, and by no code", async () => {
      const names = ["HUP", "INT", "ABRT", "KILL", "SEGV", "PIPE", "TERM", "USR1", "SYS"];
      const ends = await Promise.all(names.map((name) => shell(guest().agent, `kill -${name} $$; sleep 1`)));
      expect(ends.map(({ exitCode, signal }) => [exitCode, signal])).toEqual(names.map((name) => [null, `SIG${name}`]));
    });

    it("is one of 50 at once, each with its own input, output, errors and code", async () => {
      const numbers = Array.from({ length: 50 }, (_value, index) => index);
      const ends = await Promise.all(
        numbers.map(async (number) => {
          const script = `read x; echo "out $x"; echo "err $x" >&2; exit ${number}`;
          const started = await guest().agent.exec({ argv: ["sh", "-c", script], env, stdin: true });
          started.stdin?.end(`${number}\n`);
          const [out, err, exit] = await Promise.all([text(started.stdout), text(started.stderr), started.exit]);
          return [out, err, exit.exitCode];
        }),
      );
      expect(ends).toEqual(numbers.map((number) => [`out ${number}\n`, `err ${number}\n`, number]));
    });

    it("leaves no zombie, nor does anything that it left", async () => {
      const script = "(true &); (sh -c 'true &' &); for i in 1 2 3 4 5; do true & done";
      await Promise.all(Array.from({ length: 10 }, () => shell(guest().agent, script)));
      const zombies = "cat /proc/[0-9]*/stat 2>/dev/null | sed 's/.*) //' | grep -c ^Z";
      await expect.poll(async () => (await shell(guest().agent, zombies)).stdout).toBe("0\n");
    });

    it("sees the size of its terminal, and each change of it", async () => {
      const script =
        "stty -echo; stty size; trap 'stty size; n=$((n+1))' WINCH; echo ready; until [ \"$n\" = 2 ]; do sleep 0.02; done";
      const program = await guest().agent.exec({ argv: ["sh", "-c", script], env, tty: { columns: 100, rows: 30 } });
      let seen = "";
      for await (const chunk of program.stdout) {
        seen += chunk.toString().replaceAll("\r", "");
        if (seen.endsWith("ready\n")) program.resize(120, 40);
        if (seen.endsWith("40 120\n")) program.resize(33, 500);
      }
      expect(seen).toBe("30 100\nready\n40 120\n500 33\n");
      expect(await program.exit).toMatchObject({ exitCode: 0, signal: null });
    });

    it("in a terminal hears its keys", async () => {
      const program = await guest().agent.exec({ argv: ["sleep", sleepMark()], env, tty: { columns: 80, rows: 24 } });
      program.stdout.resume();
      program.stdin?.write("\x03");
      expect(await program.exit).toMatchObject({ exitCode: null, signal: "SIGINT" });
    });

    it("in the background outlives the host that started it, another one does not", async () => {
      const { driver, template, dataDirectory } = guest();
      const [free, bound] = [sleepMark(), sleepMark()];
      const earlier = await createQemuDriver({ dataDirectory });
      const { agent } = await earlier.clone(template, { vmId: "left-behind" });
      await agent.background.start("free", { argv: ["sh", "-c", `echo one; echo two >&2; sleep ${free}`], env });
      const started = await agent.exec({ argv: ["sleep", bound], env });
      started.exit.catch(() => undefined);
      await earlier.close();
      const vm = await driver.adopt("left-behind");
      await expect.poll(() => guestProcesses(vm!.agent)).not.toContain(`sleep ${bound}`);
      expect(await guestProcesses(vm!.agent)).toContain(`sleep ${free}`);
      const said = async () => {
        const { parts } = await vm!.agent.background.read("free", 0);
        return parts.map(({ stream, data }) => `${stream}: ${data}`);
      };
      await expect.poll(said).toEqual(["stdout: one\n", "stderr: two\n"]);
      await vm!.destroy();
    });
  });

  describe("a program that cannot start", () => {
    const told = (argv: string[], options: Partial<ExecRequest> = {}) =>
      run(guest().agent, argv, options).then(
        () => "it started",
        (error) => `${error.code}: ${error.message.replace(/^[^:]*: /, "")}`,
      );

    it("is told apart from a directory, user or group that is wrong", async () => {
      const { agent } = guest();
      await shell(
        agent,
        "mkdir -p /t/closed; chmod 700 /t/closed; mkdir -p /t/noexec; mount -t tmpfs -o noexec x /t/noexec",
      );
      const file = (path: string, content: string, mode: number) => agent.writeFile(path, bytesOf(content), { mode });
      await file("/t/plain", "#!/bin/sh\n", 0o644);
      await file("/t/text", "no program", 0o755);
      await file("/t/script", "#!/no/interpreter\n", 0o755);
      await file("/t/closed/inside", "#!/bin/sh\n", 0o755);
      await file("/t/noexec/program", "#!/bin/sh\n", 0o755);
      await file("/t/folder.sh", "#!/bin/sh\n", 0o700);
      const user = "user";
      const reasons = {
        "a name that is nowhere": await told(["nowhere"]),
        "a path that is nowhere": await told(["/no/where"]),
        "a path through a file": await told(["/etc/passwd/x"]),
        "a directory that is nowhere": await told(["true"], { cwd: "/no/where" }),
        "a directory that is a file": await told(["true"], { cwd: "/etc/passwd" }),
        "a directory that is closed": await told(["true"], { cwd: "/t/closed", user }),
        "a file without the right to execute": await told(["/t/plain"]),
        "a file of others": await told(["/t/folder.sh"], { user }),
        "a file in a closed directory": await told(["/t/closed/inside"], { user }),
        "a file system without programs": await told(["/t/noexec/program"]),
        "a directory as a program": await told(["/t"]),
        "a file of no format": await told(["/t/text"]),
        "a script without its interpreter": await told(["/t/script"]),
        "an unknown user": await told(["true"], { user: "stranger" }),
        "an unknown group": await told(["true"], { user: "user:strangers" }),
      };
      const missing = "ExecFailed: the program was not found";
      const denied = "ExecFailed: permission to execute the program was denied";
      const noFolder = "ExecFailed: the working directory was not found";
      expect(reasons).toEqual({
        "a name that is nowhere": missing,
        "a path that is nowhere": missing,
        "a path through a file": missing,
        "a directory that is nowhere": noFolder,
        "a directory that is a file": noFolder,
        "a directory that is closed": "ExecFailed: permission to enter the working directory was denied",
        "a file without the right to execute": denied,
        "a file of others": denied,
        "a file in a closed directory": denied,
        "a file system without programs": denied,
        "a directory as a program": denied,
        "a file of no format": "ExecFailed: the file is not in an executable format",
        "a script without its interpreter": "ExecFailed: the interpreter that the file asks for was not found",
        "an unknown user": "ExecFailed: the user is unknown in the sandbox",
        "an unknown group": "ExecFailed: the group is unknown in the sandbox",
      });
    });

    it("runs as the user that the image knows, when it is asked for properly", async () => {
      const id = async (user: string) => (await run(guest().agent, ["id"], { user })).stdout.trim();
      expect(await id("user")).toBe("uid=1000(user) gid=1000(user) groups=1000(user)");
      expect(await id("user:root")).toBe("uid=1000(user) gid=0(root) groups=0(root)");
      expect(await id("4711:4712")).toBe("uid=4711 gid=4712 groups=4712");
      expect((await run(guest().agent, ["env"], { user: "user", env: { ONLY: "this" } })).stdout).toBe("ONLY=this\n");
    });
  });
}
