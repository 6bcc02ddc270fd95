import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { armPath, groupPath, newer, older, RunningHost } from "../fakes/runningHost";

/** Requests as clients write them that nobody here has met. */
describe("a host called by strangers", () => {
  const host = new RunningHost();
  const subscription = "/subscriptions/s1";
  beforeAll(async () => {
    await host.start();
    await host.withGroup();
  });
  afterAll(() => host.close());

  test("spells addresses and parameters in any case, with slashes to spare", async () => {
    for (const path of [
      armPath.toUpperCase().replace("/S1/", "/s1/"),
      `${armPath}/`,
      `/${armPath.replaceAll("/", "//")}`,
      armPath.replace("resourceGroups", "resourcegroups").replace("Microsoft.App", "microsoft.app"),
    ]) {
      const listed = await host.call("GET", path);
      expect([path, listed.status, listed.body?.value?.length]).toEqual([path, 200, 1]);
    }
    const id = await host.sandbox({ labels: { team: "red" } });
    await host.sandbox({ labels: { team: "blue" } });
    const found = await host.call("GET", `${groupPath}/sandboxes?API-VERSION=${newer}&Labels=team=red`, undefined, {
      version: newer,
    });
    expect(found.body.value.map((each: { id: string }) => each.id)).toEqual([id]);
    const written = await host.call(
      "PUT",
      `${groupPath}/sandboxes/${id}/files?Path=/tmp/a/b&CREATEDIRS=false`,
      undefined,
      {
        raw: "x",
      },
    );
    expect(written.status).toBe(404);
  });

  test("sends JSON under any Content-Type or none, in chunks, and nothing at all", async () => {
    for (const type of [
      ...["application/json", "application/json; charset=utf-8", "application/merge-patch+json", "text/plain"],
      ...["application/x-www-form-urlencoded", undefined],
    ]) {
      const headers: Record<string, string> = type === undefined ? {} : { "content-type": type };
      const reply = await host.call("PATCH", `${armPath}/g1`, undefined, { raw: '{"tags":{"a":"b"}}', headers });
      expect([type, reply.status, reply.body.tags]).toEqual([type, 200, { a: "b" }]);
    }
    const id = await host.sandbox();
    const types: Record<string, string>[] = [
      { "content-type": "application/json" },
      {},
      { "content-type": "text/plain" },
    ];
    for (const headers of types) {
      expect(
        (await host.call("POST", `${groupPath}/sandboxes/${id}/stop`, undefined, { raw: "", headers })).status,
      ).toBe(200);
      expect((await host.call("POST", `${groupPath}/sandboxes/${id}/resume`, undefined, { headers })).status).toBe(200);
    }
    const broken = await host.call("PATCH", `${armPath}/g1`, undefined, { raw: '{"tags":' });
    expect([broken.status, broken.body.error.code]).toEqual([400, "InvalidRequestContent"]);
    const odd = await host.call("PATCH", `${armPath}/g1`, undefined, { raw: '{"__proto__":{"x":1}}' });
    expect(odd.status).toBe(400);
  });

  test("sends null for what it was not given", async () => {
    const id = await host.sandbox({
      ...{ labels: null, environment: null, entrypoint: null, cmd: null, lifecycle: null, ports: null },
      ...{ egressPolicy: null, egressPolicyId: null, volumes: null, connections: null },
    });
    const { body } = await host.call("GET", `${groupPath}/sandboxes/${id}`);
    expect(body).toMatchObject({ labels: {}, entrypoint: [], ports: [], volumes: [] });
  });

  test("asks of what is not here in a version of its own, or in no readable way", async () => {
    for (const [path, status, code] of [
      [`${armPath}/g1/providers/Microsoft.Authorization/locks?api-version=2020-05-01`, 404, "NotFound"],
      [`${armPath}/%zz`, 400, "InvalidRequest"],
      [`${groupPath}/sandboxes/%zz`, 400, "InvalidRequest"],
    ] as const) {
      const reply = await host.call("GET", path);
      expect([path, reply.status, reply.body.error.code]).toEqual([path, status, code]);
    }
  });

  test("asks for an image where Azure's newer clients do", async () => {
    const image = { base: "debian" };
    const made = await host.call("PUT", `${groupPath}/diskimages/v2`, { image });
    expect([made.status, made.body.image.base]).toEqual([200, "debian"]);
    const pulled = await host.call("PUT", `${groupPath}/diskimages/v2`, { image, managedIdentityResourceId: "/id" });
    expect([pulled.status, pulled.body.error.target]).toEqual([501, "managedIdentityResourceId"]);
  });

  test("asks whether something is there with HEAD, and learns the code from a header", async () => {
    const there = await host.call("HEAD", `${armPath}/g1`);
    expect([there.status, there.text]).toEqual([204, ""]);
    const missing = await host.call("HEAD", `${armPath}/none`);
    expect([missing.status, missing.headers["x-ms-error-code"]]).toEqual([404, "ResourceNotFound"]);
  });

  test("learns which methods an address takes", async () => {
    for (const [method, path, allow] of [
      ["POST", `${armPath}/g1`, "DELETE, GET, HEAD, PATCH, PUT"],
      ["DELETE", `${groupPath}/sandboxes`, "GET, HEAD, POST, PUT"],
      ["OPTIONS", `${groupPath}/snapshots/`, "GET, HEAD"],
    ] as const) {
      const reply = await host.call(method, path);
      expect([reply.status, reply.headers.allow, reply.body.error.code]).toEqual([405, allow, "MethodNotAllowed"]);
    }
    const nothing = await host.call("GET", `${groupPath}/nothing`);
    expect([nothing.status, nothing.body.error.code]).toEqual([404, "NotFound"]);
  });

  test.each([
    [`${armPath}/g1`, undefined, "MissingApiVersionParameter"],
    [`${armPath}/g1`, "2024-03-01", "NoRegisteredProviderFound"],
    [`${armPath}/g1`, "banana", "InvalidApiVersionParameter"],
    [`${groupPath}/sandboxes`, undefined, "MissingApiVersionParameter"],
    [`${groupPath}/sandboxes`, "2024-03-01", "InvalidApiVersionParameter"],
  ])("is told of the api-versions: %s at %s", async (path, version, code) => {
    const reply = await host.call("GET", path, undefined, { version: version ?? "" });
    expect([reply.status, reply.body.error.code, reply.headers["x-ms-error-code"]]).toEqual([400, code, code]);
    expect(reply.body.error.message).toContain("2026-02-01-preview");
  });

  test("asks for the resource provider first", async () => {
    const provider = await host.call("GET", `${subscription}/providers/Microsoft.App`, undefined, {
      version: "2021-04-01",
    });
    expect(provider.body).toMatchObject({
      ...{ id: "/subscriptions/s1/providers/Microsoft.App", registrationState: "Registered" },
      resourceTypes: [{ resourceType: "sandboxGroups", locations: ["local"], apiVersions: [older, "2026-07-01"] }, {}],
    });
    const registered = await host.call("POST", `${subscription}/providers/Microsoft.App/register`, undefined, {
      version: "2022-09-01",
    });
    expect(registered.body.registrationState).toBe("Registered");
    const operations = await host.call("GET", "/providers/Microsoft.App/operations");
    expect(operations.body.value.map(({ name }: { name: string }) => name)).toContain(
      "Microsoft.App/sandboxGroups/write",
    );
    for (const other of ["containerApps", "managedEnvironments", "sessionPools"]) {
      const reply = await host.call("GET", `${subscription}/providers/Microsoft.App/${other}`);
      expect([reply.status, reply.body.error.code]).toEqual([404, "NotFound"]);
    }
  });

  test("merges what is patched, and is told when it was changed", async () => {
    const put = { location: "local", tags: { a: "1" }, properties: { own: "kept" } };
    await host.call("PUT", `${armPath}/patched`, put);
    const patched = await host.call("PATCH", `${armPath}/patched`, { tags: { b: "2" } });
    expect(patched.body).toMatchObject({
      tags: { b: "2" },
      properties: { own: "kept", provisioningState: "Succeeded" },
    });
    const { createdAt, lastModifiedAt } = patched.body.systemData;
    expect(Date.parse(lastModifiedAt)).toBeGreaterThanOrEqual(Date.parse(createdAt));
    expect((await host.call("PATCH", `${armPath}/patched`)).body.tags).toEqual({ b: "2" });
    const missing = await host.call("PATCH", `${armPath}/none`, { tags: {} });
    expect([missing.status, missing.body.error.code]).toEqual([404, "ResourceNotFound"]);
  });

  test("repeats a call under its id and gets the first answer again", async () => {
    const headers = { "x-ms-client-request-id": "one-call" };
    const body = { sourcesRef: { diskImage: { name: "ubuntu", isPublic: true } } };
    const before = Number((await host.call("GET", `${groupPath}/sandboxes/count`)).text);
    const create = () => host.call("PUT", `${groupPath}/sandboxes`, body, { headers });
    const [first, second] = [await create(), await create()];
    expect(second.body).toEqual(first.body);
    expect(second.headers["x-ms-client-request-id"]).toBe("one-call");
    expect(Number((await host.call("GET", `${groupPath}/sandboxes/count`)).text)).toBe(before + 1);
  });

  test("sends headers that mean nothing here", async () => {
    const headers = {
      ...{ prefer: "respond-async", "if-match": "*", "x-ms-correlation-request-id": "c", "accept-language": "en" },
      ...{ "x-ms-return-client-request-id": "true", accept: "application/json", "x-http-method-override": "DELETE" },
    };
    expect((await host.call("GET", `${armPath}/g1`, undefined, { headers })).status).toBe(200);
  });
});
