import { readFileSync } from "node:fs";
import { request } from "node:https";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import WebSocket from "ws";
import { SdkHost } from "./sdkHost";

const host = new SdkHost();
const root = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg";
const sandboxes = `${root}/sandboxGroups/terminals/sandboxes`;
const version = "api-version=2026-02-01-preview";
let sandbox: string;
let options: { ca: Buffer; headers: Record<string, string> };

beforeAll(async () => {
  await host.start();
  options = { ca: readFileSync(host.caFile), headers: { authorization: `Bearer ${host.token}` } };
  await put(`${root}/providers/Microsoft.App/sandboxGroups/terminals`, { location: "local" });
  const made = await put(sandboxes, {
    sourcesRef: { diskImage: { name: "ubuntu", isPublic: true } },
    resources: { cpu: "250m", memory: "64Mi" },
  });
  sandbox = made.id;
});
afterAll(() => host.close());

async function put(path: string, body: object): Promise<{ id: string }> {
  return new Promise((resolve, reject) => {
    const call = request(`${host.endpoint}${path}?${version}`, { ...options, method: "PUT" }, (reply) => {
      text(reply).then((read) => resolve(JSON.parse(read)), reject);
    });
    call.on("error", reject).end(JSON.stringify(body));
  });
}

/** Types lines into a program, each when the one before was answered, and gives all that it showed. */
async function type(start: object, frames: { after: string; frame: object }[]) {
  const socket = new WebSocket(
    `${host.endpoint.replace("https", "wss")}${sandboxes}/${sandbox}/exec/stream?${version}`,
    options,
  );
  let shown = "";
  let exitCode: number | undefined;
  socket.on("open", () => socket.send(JSON.stringify({ type: "start", start })));
  socket.on("message", (data) => {
    const frame = JSON.parse(String(data)) as { type: string; data?: string; exitCode?: number };
    if (frame.type === "stdout") shown += Buffer.from(frame.data ?? "", "base64").toString();
    if (frame.type === "exit_code") exitCode = frame.exitCode;
    while (frames[0] && shown.includes(frames[0].after)) socket.send(JSON.stringify(frames.shift()!.frame));
  });
  await new Promise((resolve, reject) => socket.once("close", resolve).once("error", reject));
  return { shown, exitCode };
}

const keys = (data: string) => ({ type: "stdin", data: Buffer.from(data).toString("base64") });

describe("a terminal over exec/stream", () => {
  it("is of the size that is asked for, and of another when that changes", async () => {
    const script = "stty size; read line; stty size; exit 3";
    const start = { command: ["sh", "-c", script], environment: {}, tty: true, stdin: true, height: 30, width: 100 };
    const { shown, exitCode } = await type(start, [
      { after: "30 100", frame: { type: "resize", height: 10, width: 20 } },
      { after: "30 100", frame: keys("\n") },
    ]);
    expect(shown).toContain("10 20");
    expect(exitCode).toBe(3);
  });

  it("has a size too when the client has none", async () => {
    const start = { command: ["sh", "-c", "stty size; read line; stty size"], tty: true, stdin: true };
    const { shown, exitCode } = await type({ ...start, height: 0, width: 0 }, [
      { after: "24 80", frame: { type: "resize", height: 0, width: 0 } },
      { after: "24 80", frame: keys("\n") },
    ]);
    expect(shown.match(/24 80/g)).toHaveLength(2);
    expect(exitCode).toBe(0);
  });

  it("interrupts a program by its key", async () => {
    const start = { command: ["sh", "-c", "trap 'exit 9' INT; echo ready; while :; do sleep 0.05; done"], tty: true };
    const { exitCode } = await type({ ...start, stdin: true }, [{ after: "ready", frame: keys("\u0003") }]);
    expect(exitCode).toBe(9);
  });
});
