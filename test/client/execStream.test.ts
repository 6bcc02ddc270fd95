import { once } from "node:events";
import { buffer, text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import type { ExecStart } from "../../provider/client/wire/exec";
import { json, MisbehavingServer, reset } from "./misbehavingServer";

type Frame = { type: string; [key: string]: unknown };

/** A real WebSocket server that plays the guest by a script: called for each frame that arrives. */
async function guest(script: (send: (frame: unknown) => void, frame: Frame, socket: WebSocket) => void) {
  const server = await MisbehavingServer.start([json(404, { error: { code: "SandboxNotFound", message: "gone" } })]);
  const sockets = new WebSocketServer({ server: server.server });
  const frames: Frame[] = [];
  sockets.on("connection", (socket) => {
    const send = (frame: unknown) => socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
    socket.on("message", (data) => {
      const frame = JSON.parse(String(data)) as Frame;
      frames.push(frame);
      script(send, frame, socket);
    });
  });
  const open = (start: Partial<ExecStart> = {}, signal?: AbortSignal) =>
    server
      .api()
      .group("g")
      .sandboxes.stream("id", { command: ["x"], ...start }, { signal });
  const close = async () => {
    for (const socket of sockets.clients) socket.terminate();
    sockets.close();
    await server[Symbol.asyncDispose]();
  };
  return { open, frames, server, sockets, [Symbol.asyncDispose]: close };
}

const out = (data: string | Buffer, type = "stdout") => ({ type, data: Buffer.from(data).toString("base64") });

describe("a program over a WebSocket", () => {
  it("has its streams apart and its end", async () => {
    await using played = await guest((send) => {
      send(out("to "));
      send(out("bad", "stderr"));
      send({ type: "something-new", data: 1 });
      send(out("out"));
      send({ type: "exit_code", exitCode: 3, durationMs: 12 });
    });
    const stream = await played.open();
    expect(await Promise.all([text(stream.stdout), text(stream.stderr)])).toEqual(["to out", "bad"]);
    expect(await stream.exit).toEqual({ exitCode: 3, signal: null, timedOut: false, durationMs: 12 });
    expect(played.frames[0]).toEqual({ type: "start", start: { command: ["x"] } });
  });

  it("ended by a signal has no exit code, whatever number goes with it", async () => {
    await using played = await guest((send) =>
      send({ type: "exit_code", exitCode: 137, signal: "SIGKILL", timedOut: true }),
    );
    const stream = await played.open();
    expect(await stream.exit).toEqual({ exitCode: null, signal: "SIGKILL", timedOut: true, durationMs: 0 });
  });

  it("gets its input whole and in order, then its end", async () => {
    const input = Buffer.alloc(1_000_003, "input ");
    const seen: Buffer[] = [];
    await using played = await guest((send, frame) => {
      if (frame.type === "stdin") seen.push(Buffer.from(String(frame.data), "base64"));
      if (frame.type === "stdin_close") send({ type: "exit_code", exitCode: 0 });
    });
    const stream = await played.open({ stdin: true });
    stream.stdin.end(input);
    await stream.exit;
    expect(Buffer.concat(seen).equals(input)).toBe(true);
  });

  it("gets signals and sizes", async () => {
    await using played = await guest((send, frame) => {
      if (frame.type === "signal") send({ type: "exit_code", exitCode: 143, signal: frame.signal });
    });
    const stream = await played.open({ tty: true, height: 24, width: 80 });
    stream.resize({ rows: 50, columns: 132 });
    stream.kill("SIGTERM");
    expect((await stream.exit).signal).toBe("SIGTERM");
    expect(played.frames.slice(1)).toEqual([
      { type: "resize", height: 50, width: 132 },
      { type: "signal", signal: "SIGTERM" },
    ]);
  });

  it("waits for a reader instead of filling the memory", async () => {
    const chunk = Buffer.alloc(64 * 1024, 1);
    const count = 400;
    let flushed = 0;
    await using played = await guest((_send, frame, socket) => {
      if (frame.type !== "start") return;
      for (let sent = 0; sent < count; sent++) socket.send(JSON.stringify(out(chunk)), () => flushed++);
      socket.send(JSON.stringify({ type: "exit_code", exitCode: 0 }));
    });
    const stream = await played.open();
    await once(stream.stdout, "readable");
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(flushed).toBeLessThan(count);
    expect((await buffer(stream.stdout)).length).toBe(count * chunk.length);
    expect((await stream.exit).exitCode).toBe(0);
  });

  it("that could not start says why", async () => {
    await using played = await guest((send) => send({ type: "error", code: "ExecFailed", message: 'no program "x"' }));
    const stream = await played.open();
    await expect(stream.exit).rejects.toMatchObject({
      code: "ExecFailed",
      message: expect.stringContaining('no program "x"'),
    });
    await expect(text(stream.stdout)).rejects.toMatchObject({ code: "ExecFailed" });
  });

  it("is lost with the connection, and that is no exit", async () => {
    await using played = await guest((_send, _frame, socket) => socket.terminate());
    const stream = await played.open();
    await expect(stream.exit).rejects.toMatchObject({
      code: "HostUnavailable",
      message: expect.stringContaining("lost"),
    });
  });

  it("whose output is broken is an error, not less output", async () => {
    await using played = await guest((send) => send({ type: "stdout" }));
    await expect((await played.open()).exit).rejects.toMatchObject({
      message: expect.stringContaining("not understood"),
    });
  });

  it("is killed when the caller aborts", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const closed = Promise.withResolvers<void>();
    await using played = await guest((_send, _frame, socket) => socket.once("close", () => closed.resolve()));
    const stream = await played.open({}, controller.signal);
    controller.abort(reason);
    await expect(stream.exit).rejects.toBe(reason);
    await closed.promise;
    expect(played.frames.at(-1)).toEqual({ type: "signal", signal: "SIGKILL" });
  });
});

describe("opening the WebSocket", () => {
  it("tells a refusal in the service's words", async () => {
    const gone = json(404, { error: { code: "SandboxNotFound", message: "gone" } });
    await using server = await MisbehavingServer.start([gone]);
    server.server.on("upgrade", (request, socket) => {
      const body = JSON.stringify({ error: { code: "SandboxNotRunning", message: "it is Stopped" } });
      socket.end(`HTTP/1.1 409 Conflict\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
      expect(request.headers["x-ms-client-request-id"]).toBeDefined();
    });
    const opened = server
      .api()
      .group("g")
      .sandboxes.stream("id", { command: ["x"] });
    await expect(opened).rejects.toMatchObject({ code: "NotRunning", status: 409, requestId: expect.any(String) });
  });

  it("is tried again after a lost connection, since nothing has begun", async () => {
    await using server = await MisbehavingServer.start([reset]);
    let upgrades = 0;
    const sockets = new WebSocketServer({ noServer: true });
    server.server.on("upgrade", (request, socket, head) => {
      if (++upgrades < 3) return socket.destroy();
      sockets.handleUpgrade(request, socket, head, (client) => client.send('{"type":"exit_code","exitCode":0}'));
    });
    const stream = await server
      .api()
      .group("g")
      .sandboxes.stream("id", { command: ["x"] });
    expect((await stream.exit).exitCode).toBe(0);
    expect(upgrades).toBe(3);
    for (const client of sockets.clients) client.terminate();
  });
});
