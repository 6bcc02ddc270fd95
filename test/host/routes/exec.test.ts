import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import WebSocket from "ws";
import { groupPath, older, RunningHost } from "../fakes/runningHost";

describe("exec", () => {
  let host: RunningHost;
  let path: string;
  let id: string;
  beforeEach(async () => {
    host = await (await new RunningHost().start()).withGroup();
    id = await host.sandbox({ environment: { FROM_SANDBOX: "sandbox" } });
    path = `${groupPath}/sandboxes/${id}`;
  });
  afterEach(() => host.close());

  const shell = (command: string, more: object = {}) =>
    host.call("POST", `${path}/executeShellCommand`, { command, ...more });

  test("a shell line answers both streams apart, exit code and time", async () => {
    const reply = await shell("echo out; echo err >&2; exit 3");
    expect(reply.status).toBe(200);
    expect(reply.body).toMatchObject({ exitCode: 3, stdout: "out\n", stderr: "err\n", signal: null, timedOut: false });
    expect(Number.isInteger(reply.body.executionTimeMs)).toBe(true);
  });

  test("argv is passed as it is, with environment of image, sandbox and call", async () => {
    const body = {
      command: "/bin/sh",
      args: ["-c", 'echo "$1 $FROM_IMAGE $FROM_SANDBOX $FROM_CALL"', "sh", "a b"],
      environment: { FROM_CALL: "call" },
    };
    const reply = await host.call("POST", `${path}/executeCommand`, body);
    expect(reply.body.stdout).toBe("a b image sandbox call\n");
    const agent = host.machines.vms.get(id)!.agent;
    expect(agent.requests.at(-1)).toMatchObject({ cwd: "/", user: "root", timeoutMs: 600_000 });
    await host.call("POST", `${path}/executeCommand`, { command: "true", user: "nobody", workingDirectory: "/tmp" });
    expect(agent.requests.at(-1)).toMatchObject({ cwd: "/tmp", user: "nobody" });
  });

  test("stdin comes as base64", async () => {
    const stdin = Buffer.from("hällo").toString("base64");
    expect((await shell("cat", { stdin })).body.stdout).toBe("hällo");
    expect((await shell("cat")).body.stdout).toBe("");
  });

  test("bytes that are no UTF-8 become replacement characters", async () => {
    expect((await shell("printf 'a\\377b'")).body.stdout).toBe("a\ufffdb");
  });

  test("a byte order mark and characters cut between chunks stay whole", async () => {
    const reply = await shell("printf '\\357\\273\\277'; printf '\\303'; sleep 0.05; printf '\\244'");
    expect(reply.body.stdout).toBe("\ufeffä");
  });

  test("output past the limit is dropped and said to be, while the program goes on to its end", async () => {
    const reply = await shell("head -c 3000000 /dev/zero | tr '\\0' x; echo done >&2", { maxOutputBytes: 1000 });
    expect(reply.body).toMatchObject({ stdout: "x".repeat(1000), stderr: "done\n", truncated: true, exitCode: 0 });
  });

  test("a time limit kills the program", async () => {
    const reply = await shell("echo begun; sleep 1000", { timeoutMs: 3000 });
    expect(reply.body).toMatchObject({ exitCode: 137, signal: "SIGKILL", timedOut: true, stdout: "begun\n" });
  });

  test("a caller that goes away takes its program along", async () => {
    const alive = join(host.machines.vms.get(id)!.folder, "alive");
    const leave = new AbortController();
    const command = "trap '' TERM; touch alive; while :; do sleep 0.05; touch alive; done";
    const call = host.call("POST", `${path}/executeShellCommand`, { command }, { signal: leave.signal });
    call.catch(() => undefined);
    while (!existsSync(alive)) await sleep(10);
    leave.abort();
    await expect(call).rejects.toThrow();
    // Killed: nobody makes the file again.
    for (;;) {
      rmSync(alive, { force: true });
      await sleep(150);
      if (!existsSync(alive)) break;
    }
    // Told, but as nothing that an operator has to look into.
    await expect.poll(() => host.log.join("")).toContain('"msg":"request"');
    expect(host.log.filter((line) => JSON.parse(line).level > 30)).toEqual([]);
  });

  test("a program that is not there is an error of its own, not of the host", async () => {
    const reply = await host.call("POST", `${path}/executeCommand`, { command: "/no/such/program" });
    expect([reply.status, reply.body.error.code]).toEqual([422, "ExecFailed"]);
  });

  test("a stopped sandbox refuses, and wakes when asked to", async () => {
    await host.call("POST", `${path}/stop`);
    expect((await shell("true")).status).toBe(409);
    expect((await shell("echo hi", { activationMode: "OnDemand" })).body.stdout).toBe("hi\n");
    expect((await host.call("GET", path)).body.state).toBe("Running");
  });

  test("a repeated client request id does not run the command again", async () => {
    const options = { headers: { "x-ms-client-request-id": "one" } };
    const run = () => host.call("POST", `${path}/executeShellCommand`, { command: "echo x >> log; cat log" }, options);
    expect((await run()).body.stdout).toBe("x\n");
    expect((await run()).body.stdout).toBe("x\n");
  });

  describe("as a stream", () => {
    const open = (target = `${path}/exec/stream`) =>
      new WebSocket(`ws+unix:${host.socket}:${target}?api-version=${older}`);

    /** All frames until the socket closes. */
    async function collect(socket: WebSocket, start: object, then?: (socket: WebSocket) => unknown) {
      const frames: { type: string; data?: string; exitCode?: number; code?: string; signal?: string }[] = [];
      socket.on("message", (data) => frames.push(JSON.parse(String(data))));
      socket.on("open", () => {
        socket.send(JSON.stringify({ type: "start", start }));
        then?.(socket);
      });
      await new Promise((resolve, reject) => socket.once("close", resolve).once("error", reject));
      const text = (type: string) =>
        frames
          .filter((f) => f.type === type)
          .map((f) => Buffer.from(f.data!, "base64").toString())
          .join("");
      return { frames, stdout: text("stdout"), stderr: text("stderr"), last: frames.at(-1)! };
    }

    test("streams both ways and ends with the exit code", async () => {
      const result = await collect(
        open(),
        { command: ["/bin/sh", "-c", "cat; echo err >&2; exit 5"], stdin: true },
        (s) => {
          s.send(JSON.stringify({ type: "stdin", data: Buffer.from("in").toString("base64") }));
          s.send(JSON.stringify({ type: "stdin_close" }));
        },
      );
      expect(result).toMatchObject({ stdout: "in", stderr: "err\n", last: { type: "exit_code", exitCode: 5 } });
    });

    test("large output arrives whole", async () => {
      const { stdout } = await collect(open(), { command: ["/bin/sh", "-c", "head -c 5000000 /dev/zero"] });
      expect(stdout.length).toBe(5_000_000);
    });

    test("a signal reaches the program", async () => {
      const { last } = await collect(open(), { command: ["sleep", "1000"] }, (s) =>
        s.send(JSON.stringify({ type: "signal", signal: "SIGTERM" })),
      );
      expect(last).toMatchObject({ type: "exit_code", exitCode: 143, signal: "SIGTERM" });
    });

    test("a program that cannot start is an error frame", async () => {
      const { last } = await collect(open(), { command: ["/no/such/program"] });
      expect(last).toMatchObject({ type: "error", code: "ExecFailed" });
    });

    test("a broken frame ends the connection with an error", async () => {
      const { last } = await collect(open(), { command: ["sleep", "1000"] }, (s) => s.send("{"));
      expect(last).toMatchObject({ type: "error", code: "InvalidRequest" });
    });

    test("input waits with the caller until the program runs, and then arrives whole", async () => {
      const { agent } = host.machines.vms.get(id)!;
      const start = agent.exec.bind(agent);
      const gate = Promise.withResolvers<void>();
      agent.exec = async (request) => {
        await gate.promise;
        return start(request);
      };
      const data = Buffer.alloc(2 ** 16).toString("base64");
      let sent = 0;
      let sentEarly = 0;
      const feed = async (socket: WebSocket) => {
        // One by one: each is known to have left.
        for (; sent < 512; sent++) {
          await new Promise((resolve) => socket.send(JSON.stringify({ type: "stdin", data }), resolve));
        }
        socket.send(JSON.stringify({ type: "stdin_close" }));
      };
      const result = collect(open(), { command: ["wc", "-c"], stdin: true }, async (socket) => {
        void feed(socket);
        do {
          sentEarly = sent;
          await sleep(300);
        } while (sent !== sentEarly);
        gate.resolve();
      });
      expect((await result).stdout.trim()).toBe(String(512 * 2 ** 16));
      expect(sentEarly).toBeLessThan(256);
    });

    test("a caller that goes away takes its program along", async () => {
      const socket = open();
      socket.on("open", () => socket.send(JSON.stringify({ type: "start", start: { command: ["sleep", "1000"] } })));
      const vm = host.machines.vms.get(id)!;
      while (vm.agent.running === 0) await sleep(10);
      socket.terminate();
      while (vm.agent.running > 0) await sleep(10);
    });

    test("refusals are plain HTTP answers", async () => {
      const refused = async (target: string) => {
        const socket = open(target);
        const [, response] = await new Promise<[unknown, { statusCode: number }]>((resolve) => {
          socket.on("error", () => undefined);
          socket.once("unexpected-response", (request, reply) => resolve([request, reply as { statusCode: number }]));
        });
        socket.terminate();
        return response.statusCode;
      };
      expect(await refused(`${groupPath}/sandboxes/3e355780-b2d2-414e-865e-d6586e0ddd06/exec/stream`)).toBe(404);
      expect(await refused(`${groupPath}/sandboxes/x/exec/stream`)).toBe(400);
      await host.call("POST", `${path}/stop`);
      expect(await refused(`${path}/exec/stream`)).toBe(409);
      expect((await host.call("GET", `${path}/exec/stream`)).status).toBe(426);
    });
  });
});
