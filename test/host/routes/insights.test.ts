import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import WebSocket from "ws";
import { createMemoryDriver } from "../../../provider/host/vm/memory";
import { groupPath, older, RunningHost } from "../fakes/runningHost";

const sandboxes = `${groupPath}/sandboxes`;
const missing = "00000000-0000-4000-8000-000000000000";

let host: RunningHost;
beforeEach(async () => {
  host = await (await new RunningHost().start()).withGroup();
});
afterEach(() => host.close());

const socketTo = (path: string, query = "") =>
  new WebSocket(`ws+unix:${host.socket}:${path}?api-version=${older}${query}`);

interface Frame {
  type: string;
  data: string;
  [more: string]: unknown;
}

/** Calls back with each frame, and resolves with what all said and how it ended. */
function framesOf(socket: WebSocket, each: (frame: Frame) => void = () => undefined) {
  const frames: Frame[] = [];
  socket.on("message", (data) => {
    const frame = JSON.parse(String(data)) as Frame;
    frames.push(frame);
    each(frame);
  });
  return new Promise<{ frames: Frame[]; code: number }>((resolve, reject) => {
    socket.once("close", (code) => resolve({ frames, code }));
    socket.once("error", reject);
  });
}
const said = (frames: Frame[], type = "stdout") =>
  frames
    .filter((frame) => frame.type === type)
    .map(({ data }) => Buffer.from(data, "base64").toString())
    .join("");
const refused = (path: string, query = "") =>
  new Promise<number>((resolve, reject) => {
    const socket = socketTo(path, query);
    socket.once("unexpected-response", (_request, response) => {
      resolve(response.statusCode ?? 0);
      socket.terminate();
    });
    socket.once("open", () => reject(new Error("it was accepted")));
    socket.once("error", () => undefined); // Follows the refusal.
  });

/** A sandbox whose own program is that line of shell, once it has printed `until`. */
async function printing(script: string, until: string): Promise<string> {
  const id = await host.sandbox({ entrypoint: ["/bin/sh", "-c", script] });
  await new Promise<void>((resolve) => {
    let text = "";
    const socket = socketTo(`${sandboxes}/${id}/logstream`);
    void framesOf(socket, (frame) => {
      text += Buffer.from(frame.data, "base64").toString();
      if (!text.includes(until)) return;
      socket.close();
      resolve();
    });
  });
  return id;
}

describe("logstream", () => {
  test("tells what the sandbox's own program has printed, both streams apart, and goes on with what it prints", async () => {
    const id = await printing(
      "echo one; echo two >&2; while [ ! -e go ]; do sleep 0.05; done; echo three; sleep 60",
      "two",
    );
    const socket = socketTo(`${sandboxes}/${id}/logstream`);
    const ended = framesOf(socket, (frame) => {
      const text = Buffer.from(frame.data, "base64").toString();
      if (text === "two\n") void host.call("PUT", `${sandboxes}/${id}/files?path=/go`, undefined, { raw: "" });
      if (text === "three\n") socket.close(1000);
    });
    const { frames } = await ended;
    expect([said(frames), said(frames, "stderr")]).toEqual(["one\nthree\n", "two\n"]);
  });

  test("without follow ends with what there is; the last lines only where that is asked for", async () => {
    const id = await printing("printf 'a\\nb\\nc\\nd'; sleep 60", "d");
    const read = async (query: string) => {
      const { frames, code } = await framesOf(socketTo(`${sandboxes}/${id}/logstream`, `&follow=false${query}`));
      expect(code).toBe(1000);
      return said(frames);
    };
    expect(await read("")).toBe("a\nb\nc\nd");
    expect(await read("&tailLines=2")).toBe("c\nd");
    expect(await read("&tailLines=1&logFormat=1")).toBe("d");
    expect(await read("&tailLines=0")).toBe("");
    expect(await read("&tailLines=9")).toBe("a\nb\nc\nd");
  });

  test("keeps the newest part of a program that prints without end", async () => {
    const line = "x".repeat(99);
    const id = await printing(
      `i=0; while [ $i -lt 6000 ]; do echo ${line}; i=$((i+1)); done; echo done; sleep 60`,
      "done",
    );
    const { frames } = await framesOf(socketTo(`${sandboxes}/${id}/logstream`, "&follow=false"));
    const text = said(frames);
    expect(text.endsWith(`${line}\ndone\n`)).toBe(true);
    expect(text.length).toBeLessThanOrEqual(256 * 1024);
    expect(text.length).toBeGreaterThan(100 * 1024);
  });

  test("ends with its sandbox", async () => {
    const id = await printing("echo here; sleep 60", "here");
    const socket = socketTo(`${sandboxes}/${id}/logstream`);
    const { frames, code } = await framesOf(socket, () => void host.call("DELETE", `${sandboxes}/${id}`));
    expect([said(frames), code]).toEqual(["here\n", 1000]);
  });

  test("is silent for a sandbox that runs nothing of its own", async () => {
    const id = await host.sandbox();
    const { frames, code } = await framesOf(socketTo(`${sandboxes}/${id}/logstream`, "&follow=false"));
    expect([frames, code]).toEqual([[], 1000]);
  });

  test("is refused before it begins for what is not there or makes no sense", async () => {
    const id = await host.sandbox();
    expect(await refused(`${sandboxes}/${missing}/logstream`)).toBe(404);
    expect(await refused(`${sandboxes}/${id}/logstream`, "&tailLines=-1")).toBe(400);
    expect(await refused(`${sandboxes}/${id}/logstream`, "&follow=perhaps")).toBe(400);
    expect(await refused(`${sandboxes}/${id}/logstream`, "&containerName=other")).toBe(501);
    expect((await host.call("GET", `${sandboxes}/${id}/logstream`)).status).toBe(426);
  });
});

describe("processes", () => {
  const stat = (pid: number, name: string) =>
    `${pid} (${name}) S 1 1 1 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 3 0 700 1000000 25 0 0\n`;
  const withProcesses = async (files: Record<string, string>) => {
    const id = await host.sandbox();
    for (const [path, content] of Object.entries(files)) {
      const place = join(host.machines.vms.get(id)!.folder, "proc", path);
      mkdirSync(join(place, ".."), { recursive: true });
      writeFileSync(place, content);
    }
    return id;
  };

  test("are what the guest's own files say", async () => {
    const id = await withProcesses({
      ...{ "12/stat": stat(12, "sleep"), "12/cmdline": "sleep\0a b\0" },
      ...{ "2/stat": stat(2, "odd) name (x"), "2/cmdline": "" },
      ...{ "7/cmdline": "it ended meanwhile\0", meminfo: "no process", "0/stat": stat(0, "no number") },
    });
    const { body } = await host.call("GET", `${sandboxes}/${id}/processes`);
    expect(body).toMatchObject([
      { pid: 2, name: "odd) name (x", command: [] },
      {
        ...{ pid: 12, parentPid: 1, name: "sleep", command: ["sleep", "a b"], state: "S", threads: 3 },
        ...{ memoryBytes: 102_400, cpuSeconds: 2, startedAtSecs: 7 },
      },
    ]);
  });

  test("come again and again through a stream", async () => {
    const id = await withProcesses({ "12/stat": stat(12, "sleep"), "12/cmdline": "sleep\0" });
    const socket = socketTo(`${sandboxes}/${id}/processes/stream`);
    let count = 0;
    const { frames } = await framesOf(socket, () => {
      count += 1;
      if (count === 2) socket.close(1000);
    });
    expect(frames.slice(0, 2)).toMatchObject(
      [1, 2].map(() => ({ type: "processes", processes: [{ pid: 12, name: "sleep" }] })),
    );
  });

  test("of a guest that fills its files with nonsense are nonsense of bounded size", async () => {
    const id = await withProcesses({ "1/stat": "?".repeat(100_000), "1/cmdline": "\0".repeat(100_000) });
    const { status, text } = await host.call("GET", `${sandboxes}/${id}/processes`);
    expect([status, text.length < 400_000]).toEqual([200, true]);
  });

  test("of a stopped sandbox cannot be told, and containers not at all", async () => {
    const id = await host.sandbox();
    expect((await host.call("GET", `${sandboxes}/${id}/containers`)).status).toBe(501);
    expect((await host.call("POST", `${sandboxes}/${id}/containers/one/restart`, {})).status).toBe(501);
    await host.call("POST", `${sandboxes}/${id}/stop`, {});
    expect((await host.call("GET", `${sandboxes}/${id}/processes`)).status).toBe(409);
    expect(await refused(`${sandboxes}/${id}/processes/stream`)).toBe(409);
  });

  test("are those that run there, over a real agent", async () => {
    await host.disconnect();
    await host.server.stop();
    await host.start({ driver: await createMemoryDriver({ dataDirectory: host.dataDir }) });
    try {
      const id = await host.sandbox({ entrypoint: ["sleep", "4321"] });
      const list = async () => (await host.call("GET", `${sandboxes}/${id}/processes`)).body as { command: string[] }[];
      await expect.poll(async () => (await list()).map(({ command }) => command)).toContainEqual(["sleep", "4321"]);
    } finally {
      await host.server.stop({ stopSandboxes: true });
    }
  });
});
