import { once } from "node:events";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { SandboxesError } from "../../provider/client/errors";
import { isMissing } from "../../provider/client/failures";
import { halfAnswer, json, MisbehavingServer, type Reply, reset, silence } from "./misbehavingServer";

const group = { id: "/x", name: "g", location: "local", properties: { provisioningState: "Succeeded" } };
const sandbox = { id: "3e355780-b2d2-414e-865e-d6586e0ddd06", state: "Running", labels: {} };
const create = { sourcesRef: { diskImage: { name: "python", isPublic: true } } };

async function rejection(promise: Promise<unknown>): Promise<SandboxesError> {
  const error = await promise.then(
    () => undefined,
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(SandboxesError);
  return error;
}

describe("a request that may be repeated", () => {
  it.each([
    ["a lost connection", reset],
    ["half an answer", halfAnswer],
    ["503", json(503, {})],
    ["502", json(502, "bad gateway")],
    ["429 with Retry-After", json(429, { error: { code: "CapacityExceeded" } }, { "retry-after": "0" })],
  ])("is sent again after %s, under the same request id", async (_name, failure) => {
    await using server = await MisbehavingServer.start([failure, failure, json(200, group)]);
    expect(await server.api().groups.get("g")).toMatchObject({ name: "g", tags: {} });
    expect(server.received).toHaveLength(3);
    expect(new Set(server.received.map((request) => request.headers["x-ms-client-request-id"])).size).toBe(1);
  });

  it("ends after the last attempt with the service's own words and the request id", async () => {
    const body = { error: { code: "CapacityExceeded", message: "no memory left", hint: "delete a sandbox" } };
    await using server = await MisbehavingServer.start([json(429, body)]);
    const error = await rejection(server.api().group("g").sandboxes.get("x"));
    expect(server.received).toHaveLength(4);
    expect(error).toMatchObject({ code: "CapacityExceeded", status: 429, hint: "delete a sandbox" });
    expect(error.message).toBe('Cannot read sandbox "x": no memory left');
    expect(error.requestId).toBe(server.received[0]?.headers["x-ms-client-request-id"]);
  });

  it("is not waited for longer than the budget, whatever Retry-After wishes", async () => {
    await using server = await MisbehavingServer.start([json(503, {}, { "retry-after": "3600" })]);
    expect(await rejection(server.api().groups.get("g"))).toMatchObject({ code: "HostUnavailable", status: 503 });
    expect(server.received).toHaveLength(1);
  });

  it.each([400, 401, 403, 404, 409, 413, 500, 501])("is not repeated after %i", async (status) => {
    await using server = await MisbehavingServer.start([json(status, { error: { code: "X", message: "m" } })]);
    expect((await rejection(server.api().groups.get("g"))).status).toBe(status);
    expect(server.received).toHaveLength(1);
  });
});

describe("a file", () => {
  const half: Reply = (response) => {
    response.writeHead(200, { "content-length": "1000" });
    response.write("half", () => response.socket?.destroy());
  };

  it("is read again after half an answer", async () => {
    await using server = await MisbehavingServer.start([half, (response) => response.end("whole")]);
    expect(String(await server.api().group("g").files.readAll("x", "/a"))).toBe("whole");
  });

  it("that is streamed ends with an error, not early", async () => {
    await using server = await MisbehavingServer.start([half]);
    const stream = await server.api().group("g").files.read("x", "/a");
    expect(await rejection(text(stream))).toMatchObject({ code: "HostUnavailable", requestId: expect.any(String) });
  });

  it("that nobody reads to its end is no longer asked for", async () => {
    const closed = Promise.withResolvers<void>();
    await using server = await MisbehavingServer.start([
      (response) => {
        response.once("close", closed.resolve);
        response.write("a beginning");
      },
    ]);
    const stream = await server.api().group("g").files.read("x", "/a");
    await once(stream, "data");
    stream.destroy();
    await closed.promise;
  });

  it("whose source fails is rejected with the source's own error, and is not sent again", async () => {
    const fault = new Error("mine");
    const source = (async function* () {
      yield Buffer.from("x");
      throw fault;
    })();
    await using server = await MisbehavingServer.start([json(200, {})]);
    await expect(server.api().group("g").files.write("x", "/a", source)).rejects.toBe(fault);
  });

  it("from a stream is not sent again when the connection is lost", async () => {
    let returned = false;
    const source = (async function* () {
      try {
        for (;;) yield Buffer.alloc(1000);
      } finally {
        returned = true;
      }
    })();
    await using server = await MisbehavingServer.start([]);
    server.server.removeAllListeners("request").on("request", (request) => request.socket.destroy());
    const error = await rejection(server.api().group("g").files.write("x", "/a", source));
    expect([error.code, returned]).toEqual(["HostUnavailable", true]);
  });
});

describe("a request with an effect that must not happen twice", () => {
  it.each([
    ["a lost connection", reset],
    ["half an answer", halfAnswer],
    ["503", json(503, {})],
    ["504", json(504, {})],
  ])("is not repeated after %s", async (_name, failure) => {
    await using server = await MisbehavingServer.start([failure]);
    const { sandboxes } = server.api().group("g");
    await rejection(sandboxes.create(create));
    await rejection(sandboxes.exec("x", { command: "true" }));
    expect(server.received).toHaveLength(2);
  });

  it("is repeated after 429, which says that nothing was done", async () => {
    const full = json(429, { error: { code: "CapacityExceeded", message: "full" } });
    await using server = await MisbehavingServer.start([full, json(200, sandbox)]);
    expect((await server.api().group("g").sandboxes.create(create)).id).toBe(sandbox.id);
    expect(server.received).toHaveLength(2);
  });

  it("is repeated when no connection could be made", async () => {
    await using server = await MisbehavingServer.start([json(200, sandbox)]);
    await new Promise((resolve) => server.server.close(resolve));
    const created = server.api().group("g").sandboxes.create(create);
    server.server.listen(server.socketPath);
    expect((await created).id).toBe(sandbox.id);
  });
});

describe("an answer", () => {
  it("that is no JSON is an error which says so", async () => {
    await using server = await MisbehavingServer.start([(response) => response.end("<html>hello</html>")]);
    const error = await rejection(server.api().groups.get("g"));
    expect(error).toMatchObject({ code: "Internal" });
    expect(error.message).toContain('Cannot read sandbox group "g": the answer is not understood');
  });

  it("with a wrong field names the field", async () => {
    await using server = await MisbehavingServer.start([json(200, { ...group, location: 5 })]);
    expect((await rejection(server.api().groups.get("g"))).message).toContain("at location");
  });

  it("of 404 is missing only when a sandbox service wrote it", async () => {
    const gone = json(404, { error: { code: "SandboxNotFound", message: "gone" } });
    const problem = json(404, { title: "Not Found", status: 404 });
    const proxy = (response: { writeHead: (status: number) => { end: (text: string) => void } }) =>
      response.writeHead(404).end("<html>no such page</html>");
    await using server = await MisbehavingServer.start([gone, problem, proxy]);
    const { sandboxes } = server.api().group("g");
    expect(isMissing(await rejection(sandboxes.get("x")))).toBe(true);
    expect(isMissing(await rejection(sandboxes.get("x")))).toBe(true);
    const foreign = await rejection(sandboxes.get("x"));
    expect(isMissing(foreign)).toBe(false);
    expect(foreign.code).toBe("HostUnavailable");
  });

  it("of 401 hints at the token and does not show it", async () => {
    await using server = await MisbehavingServer.start([json(401, {})]);
    const error = await rejection(server.api().groups.get("g"));
    expect(error).toMatchObject({ code: "Unauthorized", hint: expect.stringContaining("SANDBOXES_TOKEN") });
  });
});

describe("what is sent", () => {
  it("names the api-version, escapes names, and has a body wherever Azure hangs without", async () => {
    await using server = await MisbehavingServer.start([json(200, sandbox)]);
    const { sandboxes } = server.api().group("a b");
    await sandboxes.resume("i/d");
    const [resume] = server.received;
    expect(resume?.path).toMatch(/\/resourceGroups\/local\/sandboxGroups\/a%20b\/sandboxes\/i%2Fd\/resume$/);
    expect(resume?.query.get("api-version")).toBe("2026-02-01-preview");
    expect(resume?.headers["content-type"]).toBe("application/json");
    expect(String(resume?.body)).toBe("{}");
  });

  it("asks for labels in one parameter and checks what comes back", async () => {
    const other = { ...sandbox, id: "other", labels: { a: "2" } };
    await using server = await MisbehavingServer.start([json(200, [{ ...sandbox, labels: { a: "1" } }, other])]);
    expect(
      await server
        .api()
        .group("g")
        .sandboxes.list({ labels: { a: "1" } }),
    ).toHaveLength(1);
    expect(server.received[0]?.query.get("labels")).toBe("a=1");
  });

  it("follows next links on its own endpoint only", async () => {
    const page = { value: [sandbox], nextLink: "https://elsewhere.example/second?skipToken=7&api-version=x" };
    await using server = await MisbehavingServer.start([json(200, page), json(200, { value: [sandbox] })]);
    expect(await server.api().group("g").sandboxes.list()).toHaveLength(2);
    expect(server.received[1]?.path).toBe("/second");
    expect(server.received[1]?.query.get("skipToken")).toBe("7");
    expect(server.received[1]?.query.get("api-version")).toBe("x");
  });
});

describe("waiting", () => {
  it("ends at once when the caller aborts, with the caller's reason", async () => {
    await using server = await MisbehavingServer.start([silence]);
    const controller = new AbortController();
    const answer = server.api().group("g").sandboxes.exec("x", { command: "sleep" }, { signal: controller.signal });
    const reason = new Error("enough");
    setTimeout(() => controller.abort(reason), 20);
    await expect(answer).rejects.toBe(reason);
  });

  it("for a sandbox in the making ends when it runs, though it is not shown at first", async () => {
    const creating = { ...sandbox, state: "Creating" };
    const missing = json(404, { error: { code: "SandboxNotFound", message: "not yet" } });
    await using server = await MisbehavingServer.start([
      json(200, creating),
      missing,
      json(200, creating),
      json(200, sandbox),
    ]);
    expect((await server.api().group("g").sandboxes.create(create)).state).toBe("Running");
    expect(server.received).toHaveLength(4);
  });

  it("for a disk image tells its progress and the reason of its failure", async () => {
    const status = (state: string, more: object = {}) =>
      json(200, { id: "i", image: { base: "x:1" }, status: { state, ...more } });
    const failed = status("Failed", { errorCode: "RegistryFailed", errorMessage: "denied" });
    await using server = await MisbehavingServer.start([
      status("Building", { message: "pulling" }),
      status("Building", { message: "pulling" }),
      status("Building", { message: "packing" }),
      failed,
    ]);
    const said: string[] = [];
    const wait = server
      .api()
      .group("g")
      .diskImages.waitUntilReady("i", { onProgress: (text) => said.push(text) });
    expect(await rejection(wait)).toMatchObject({ code: "RegistryFailed", message: 'Cannot import "x:1": denied' });
    expect(said).toEqual(["pulling", "packing"]);
  });

  it("for a deletion that goes on ends when the sandbox is gone", async () => {
    const gone = json(404, { error: { code: "SandboxNotFound", message: "gone" } });
    await using server = await MisbehavingServer.start([json(202, {}), json(200, sandbox), gone]);
    await server.api().group("g").sandboxes.delete("x");
    expect(server.received).toHaveLength(3);
  });
});

describe("a unix socket", () => {
  it("may have a path longer than the system's limit", async () => {
    const fs = await import("node:fs/promises");
    await using server = await MisbehavingServer.start([json(200, group)]);
    const directory = `${server.socketPath}-${"d".repeat(120)}`;
    await fs.mkdir(directory);
    await fs.rename(server.socketPath, `${directory}/host.sock`);
    Object.assign(server, { socketPath: `${directory}/host.sock` });
    expect((await server.api().groups.get("g")).name).toBe("g");
  });

  it("that is not there is told with the way to start the host", async () => {
    await using server = await MisbehavingServer.start([silence]);
    Object.assign(server, { socketPath: `${server.socketPath}-none` });
    const error = await rejection(server.api().groups.get("g"));
    expect(error).toMatchObject({ code: "HostUnavailable", hint: expect.stringContaining("sandboxes host start") });
    expect(error.message).toContain("ENOENT");
  });
});
