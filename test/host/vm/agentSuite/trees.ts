import { describe, expect, it } from "vitest";
import { run, shell } from "../guestCommands";
import { type RealGuest, sleepMark } from "./realGuest";

/** Programs that are hard to end; MARK is what their processes are found by. */
const stubborn: [name: string, script: string][] = [
  ["endless", "sleep MARK & while :; do :; done"],
  ["deaf to every signal that can be ignored", "trap '' HUP INT QUIT TERM; sleep MARK & while :; do sleep MARK; done"],
  ["forked twice into a session of its own", "(setsid sh -c '(setsid sleep MARK &)' &); sleep MARK"],
  ["forking without end", "sh -c 'while :; do sleep MARK & sleep 0.02; done' & sleep MARK"],
  ["holding its pipes in a grandchild", "(sleep MARK &); exec sleep MARK"],
  ["stopped", "sleep MARK & kill -STOP $!; kill -STOP $$"],
];

/** What becomes of a tree of processes. */
export function describeTrees(guest: () => RealGuest): void {
  /** Arguments of processes that hold the mark. */
  const running = async (mark: string) => {
    const { stdout } = await shell(guest().agent, "cat /proc/[0-9]*/cmdline 2>/dev/null");
    return stdout.split("\0").filter((argument) => argument.includes(mark));
  };
  const started = (mark: string) => expect.poll(() => running(mark)).not.toEqual([]);
  const gone = (mark: string) => expect.poll(() => running(mark)).toEqual([]);

  describe.each(stubborn)("a program that is %s", (_name, script) => {
    const request = (mark: string) => ({
      argv: ["sh", "-c", script.replaceAll("MARK", mark)],
      env: { PATH: "/bin" },
    });

    it("ends whole at its time limit, when it is killed, and when its caller leaves", async () => {
      const { agent } = guest();
      const [late, killed, left] = [sleepMark(), sleepMark(), sleepMark()];
      const expire = async () => {
        const result = await shell(agent, script.replaceAll("MARK", late), { timeoutMs: 400 });
        expect(result).toMatchObject({ exitCode: null, signal: "SIGKILL", timedOut: true });
      };
      const kill = async () => {
        const program = await agent.exec(request(killed));
        for (const output of [program.stdout, program.stderr]) output.resume();
        await started(killed);
        program.kill("SIGKILL");
        expect(await program.exit).toMatchObject({ exitCode: null, signal: "SIGKILL", timedOut: false });
      };
      const leave = async () => {
        const caller = new AbortController();
        const program = await agent.exec({ ...request(left), signal: caller.signal });
        await started(left);
        caller.abort(new Error("enough"));
        await expect(program.exit).rejects.toThrow("enough");
      };
      await Promise.all([expire(), kill(), leave()]);
      for (const mark of [late, killed, left]) await gone(mark);
    });
  });

  describe("what a program leaves behind", () => {
    it("and holds its output does not hold up the call, and goes on", async () => {
      const mark = sleepMark();
      const result = await shell(guest().agent, `sleep ${mark} & echo $!; exit 3`);
      expect(result).toMatchObject({ stdout: expect.stringMatching(/^\d+\n$/), exitCode: 3 });
      await expect.poll(() => running(mark)).toHaveLength(1);
      await run(guest().agent, ["kill", result.stdout.trim()]);
      await gone(mark);
    });

    it("and writes without end does not hold up the call either", async () => {
      const result = await shell(guest().agent, "yes & echo $! >&2; exit 4");
      expect(result.exitCode).toBe(4);
      const writer = result.stderr.trim();
      // Nobody reads any more, which ends it as in any pipe.
      await expect.poll(async () => (await shell(guest().agent, `test -e /proc/${writer}`)).exitCode).toBe(1);
    });

    it("hears a signal that is sent by name, all of it", async () => {
      const mark = sleepMark();
      const script = `sleep ${mark} & trap 'echo heard; exit 5' USR2; echo ready; wait; wait`;
      const program = await guest().agent.exec({ argv: ["sh", "-c", script], env: { PATH: "/bin" } });
      program.stderr.resume();
      let seen = "";
      for await (const chunk of program.stdout) {
        seen += chunk;
        if (seen === "ready\n") program.kill("SIGUSR2");
      }
      expect(seen).toBe("ready\nheard\n");
      expect(await program.exit).toMatchObject({ exitCode: 5, signal: null });
      await gone(mark);
    });
  });
}
