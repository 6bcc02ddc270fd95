import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
  createServer as createHttp2Server,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import { type AddressInfo, connect, createServer, type Server as NetServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer, text } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { SandboxesError } from "../../../provider/client/errors";
import type { PortServerOptions } from "../../../provider/host/ports/portAccess";
import { openPortServer, type PortServer } from "../../../provider/host/ports/portServer";
import type { PortRecord } from "../../../provider/host/store/sandboxStore";

const token = "a-token-of-the-host-0123456789";

/** Stands for the program in the guest, one that speaks as gRPC does. */
let program: Http2Server;
/** A guest that speaks no HTTP/2 that anybody should trust. */
let hostile: NetServer;
let target: NetServer;
let folder: string;
let declared: PortRecord | undefined;
let server: PortServer;
let session: ClientHttp2Session;
let asked: number;
let refusal: Error | undefined;
const seen: IncomingHttpHeaders[] = [];
const ended: number[] = [];
const failures: unknown[] = [];

const portOf = (each: NetServer) => (each.address() as AddressInfo).port;
const anonymous: PortRecord = { port: 80, auth: { anonymous: true }, activationMode: "Manual", protocol: "Http2" };

function serveProgram(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  seen.push(headers);
  stream.on("error", () => {});
  stream.once("close", () => ended.push(stream.rstCode));
  if (headers[":path"] === "/trailersOnly") {
    stream.respond({ ":status": 200, "grpc-status": "5" }, { endStream: true });
    return;
  }
  if (headers[":path"] === "/reset") {
    stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    return;
  }
  if (headers[":path"] === "/silent") return;
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  if (headers[":path"] === "/cut") {
    stream.write("half");
    setImmediate(() => stream.session?.destroy());
    return;
  }
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", "grpc-message": "fine" }));
  stream.pipe(stream);
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "http2-"));
  program = createHttp2Server().on("stream", serveProgram).listen(0, "127.0.0.1");
  program.on("session", (each) => each.on("error", () => {}));
  hostile = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end(randomBytes(20_000)));
  }).listen(0, "127.0.0.1");
  await Promise.all([once(program, "listening"), once(hostile, "listening")]);
});

const open = (more: Partial<PortServerOptions> = {}) =>
  openPortServer({
    ...{ bindHost: "127.0.0.1", hostPort: 0, protocol: "Http2", token, declared: () => declared },
    connect: async () => {
      asked += 1;
      if (refusal) throw refusal;
      const connection = connect(portOf(target), "127.0.0.1");
      await once(connection, "connect");
      return connection;
    },
    failed: (error) => void failures.push(error),
    ...more,
  });
const call = (address = `http://127.0.0.1:${server.hostPort}`, options = {}) => {
  const made = connectHttp2(address, options);
  made.on("error", () => {});
  return made;
};
beforeEach(async () => {
  declared = anonymous;
  refusal = undefined;
  asked = 0;
  seen.length = 0;
  ended.length = 0;
  target = program;
  server = await open();
  session = call();
});
afterEach(() => {
  session.destroy();
  server.close();
});
afterAll(() => {
  program.close();
  hostile.close();
  rmSync(folder, { recursive: true, force: true });
  expect(failures).toEqual([]);
});

/** A reset is an end as well: `once` would fail by it. */
const closed = (each: Socket | ClientHttp2Session) => new Promise<void>((resolve) => void each.once("close", resolve));
const headersOf = async (stream: ClientHttp2Stream) => (await once(stream, "response"))[0] as IncomingHttpHeaders;
const post = (path: string, more: OutgoingHttpHeaders = {}) => {
  const stream = session.request({ ":method": "POST", ":path": path, te: "trailers", ...more });
  stream.on("error", () => {});
  return stream;
};

describe("a port that speaks HTTP/2", () => {
  it("carries a call with its trailers", async () => {
    const stream = post("/pkg.Service/Call?x=1", { authorization: "Bearer mine", "x-forwarded-for": "6.6.6.6" });
    const trailers = once(stream, "trailers");
    stream.end("message");
    expect(await headersOf(stream)).toMatchObject({ ":status": 200, "content-type": "application/grpc" });
    expect(await text(stream)).toBe("message");
    expect((await trailers)[0]).toMatchObject({ "grpc-status": "0", "grpc-message": "fine" });
    expect(seen[0]).toMatchObject({
      ...{ ":method": "POST", ":path": "/pkg.Service/Call?x=1", te: "trailers", authorization: "Bearer mine" },
      ...{ "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http" },
      "x-forwarded-host": `127.0.0.1:${server.hostPort}`,
    });
  });

  it("carries an answer that is nothing but a head", async () => {
    const stream = post("/trailersOnly");
    stream.end();
    expect(await headersOf(stream)).toMatchObject({ ":status": 200, "grpc-status": "5" });
    expect(await text(stream)).toBe("");
  });

  it("carries both directions at once", async () => {
    const stream = post("/talk");
    const answers: string[] = [];
    for (const word of ["one", "two", "three"]) {
      stream.write(word);
      answers.push(String((await once(stream, "data"))[0]));
    }
    stream.end();
    await once(stream.resume(), "close");
    expect(answers).toEqual(["one", "two", "three"]);
  });

  it("carries large bodies whole", async () => {
    const content = randomBytes(8 * 2 ** 20);
    const stream = post("/large");
    stream.end(content);
    expect((await buffer(stream)).equals(content)).toBe(true);
  });

  it("has many calls under way on one connection, to the program too", async () => {
    const texts = await Promise.all(
      Array.from({ length: 60 }, (_, index) => {
        const stream = post(`/${index}`);
        stream.end(`call ${index}`);
        return text(stream);
      }),
    );
    expect(texts).toEqual(Array.from({ length: 60 }, (_, index) => `call ${index}`));
    expect([asked, seen.length]).toEqual([1, 60]);
  });

  it("goes on after the program was started anew", async () => {
    const [cut, next] = [post("/cut"), () => post("/again")];
    cut.end();
    await once(cut.resume(), "close");
    expect(cut.rstCode).not.toBe(constants.NGHTTP2_NO_ERROR);
    const stream = next();
    stream.end("again");
    expect(await text(stream)).toBe("again");
    expect(asked).toBe(2);
  });

  it("passes on a reset of either side", async () => {
    const refused = post("/reset");
    refused.end();
    expect((await headersOf(refused))[":status"]).toBe(502);
    await text(refused);
    const left = post("/silent");
    left.write("x");
    await expect.poll(() => seen.length).toBe(2);
    left.close(constants.NGHTTP2_CANCEL);
    await expect.poll(() => ended.at(-1)).toBe(constants.NGHTTP2_CANCEL);
  });

  it("lets nobody in without the token, which the program never sees", async () => {
    declared = { ...anonymous, auth: {} };
    const outside = post("/");
    outside.end();
    const refused = await headersOf(outside);
    expect([refused[":status"], refused["www-authenticate"]]).toEqual([401, 'Bearer realm="sandboxes"']);
    expect([asked, seen]).toEqual([0, []]);
    const inside = post("/", { authorization: `Bearer ${token}` });
    inside.end("in");
    expect(await text(inside)).toBe("in");
    expect(JSON.stringify(seen)).not.toContain(token);
  });

  it.each([
    [404, undefined, undefined],
    [403, anonymous, new SandboxesError("NotRunning", "it sleeps")],
    [502, anonymous, new SandboxesError("Conflict", "nothing listens")],
  ])("answers %i where there is no way in", async (status, port, error) => {
    declared = port;
    refusal = error;
    const stream = post("/");
    stream.end();
    expect((await headersOf(stream))[":status"]).toBe(status);
    expect(JSON.parse(await text(stream))).toHaveProperty("error");
  });

  it("is not harmed by a program that does not speak it", async () => {
    target = hostile;
    const stream = post("/");
    stream.end("x");
    expect((await headersOf(stream))[":status"]).toBe(502);
    await text(stream);
    target = program;
    const again = post("/");
    again.end("again");
    expect(await text(again)).toBe("again");
  });

  it("is not harmed by a caller that does not speak it", async () => {
    const socket = connect(server.hostPort, "127.0.0.1");
    socket.on("error", () => {});
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await closed(socket.resume());
    const stream = post("/");
    stream.end("still");
    expect(await text(stream)).toBe("still");
  });

  it("is agreed on in TLS", async () => {
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const more = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert];
    execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", ...more], { stdio: "ignore" });
    const tls = { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
    const secure = await open({ tls });
    const client = call(`https://localhost:${secure.hostPort}`, { ca: tls.cert });
    try {
      const stream = client.request({ ":method": "POST", ":path": "/" });
      stream.end("secret");
      expect(await text(stream)).toBe("secret");
      expect(client.alpnProtocol).toBe("h2");
      expect(seen.at(-1)).toMatchObject({ "x-forwarded-proto": "https" });
    } finally {
      client.destroy();
      secure.close();
    }
  });

  it("ends with its port", async () => {
    const stream = post("/silent");
    stream.write("x");
    await expect.poll(() => seen.length).toBe(1);
    server.close();
    await closed(session);
    await expect.poll(() => ended.length).toBe(1);
  });
});
