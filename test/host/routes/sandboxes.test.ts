import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SandboxesError } from "../../../provider/client/errors";
import { groupPath, newer, RunningHost } from "../fakes/runningHost";

const collection = `${groupPath}/sandboxes`;
const sourcesRef = { diskImage: { name: "ubuntu", isPublic: true } };

describe("sandboxes", () => {
  let host: RunningHost;
  beforeEach(async () => {
    host = await (await new RunningHost().start()).withGroup();
  });
  afterEach(() => host.close());

  test("a new sandbox runs, has an identity of its own and is gone after its deletion", async () => {
    const id = await host.sandbox({ resources: { cpu: "2", memory: "2Gi" } });
    const read = await host.call("GET", `${collection}/${id}`);
    expect(read.body).toMatchObject({
      state: "Running",
      resources: { cpu: "2000m", memory: "2048Mi", disk: "10240Mi" },
    });
    expect(host.machines.templates[0]).toMatchObject({ vcpus: 2, memoryMiB: 2048, diskMiB: 10_240 });
    const [identity] = host.machines.vms.get(id)!.identities;
    expect(identity).toMatchObject({ machineId: id.replaceAll("-", ""), hostname: id.slice(0, 8) });
    expect(identity!.entropy.length).toBeGreaterThanOrEqual(32);
    expect((await host.call("DELETE", `${collection}/${id}`)).status).toBe(200);
    expect((await host.call("DELETE", `${collection}/${id}`)).status).toBe(204);
    expect((await host.call("GET", `${collection}/${id}`)).status).toBe(404);
    expect(host.machines.vms.size).toBe(0);
  });

  test("the environment is never answered and never logged", async () => {
    const id = await host.sandbox({ environment: { KEY: "hunter2" } });
    const replies = [await host.call("GET", `${collection}/${id}`), await host.call("GET", collection)];
    for (const { text } of replies) expect(text).not.toContain("hunter2");
    expect(host.log.join("")).not.toContain("hunter2");
  });

  test("lists filter by labels, raw or encoded, with a plus as a space", async () => {
    const red = await host.sandbox({ labels: { team: "red", tier: "one" } });
    const blue = await host.sandbox({ labels: { team: "blue", tier: "one", note: "a b", eq: "x=y" } });
    const list = async (query: string) =>
      (await host.call("GET", `${collection}${query}`)).body.map((s: { id: string }) => s.id);
    expect(await list("")).toEqual([red, blue]);
    expect(await list("?labels=team=red,tier=one")).toEqual([red]);
    expect(await list("?labels=team%3Dblue%2Ctier%3Done")).toEqual([blue]);
    expect(await list("?labels=tier=one")).toEqual([red, blue]);
    expect(await list("?labels=note=a+b")).toEqual([blue]);
    expect(await list("?labels=note=a%20b")).toEqual([blue]);
    expect(await list("?labels=eq=x=y")).toEqual([blue]);
    expect(await list("?labels=team=green")).toEqual([]);
    const page = await host.call("GET", `${collection}?labels=team=red`, undefined, { version: newer });
    expect(page.body.value).toHaveLength(1);
    expect((await host.call("GET", `${collection}/count`)).text).toBe("2");
  });

  test("labels are replaced by PATCH", async () => {
    const id = await host.sandbox({ labels: { a: "1" } });
    expect((await host.call("PATCH", `${collection}/${id}`, { labels: { b: "2" } })).body.labels).toEqual({ b: "2" });
    expect((await host.call("GET", `${collection}/${id}`)).body.labels).toEqual({ b: "2" });
  });

  test("stop and resume need no body and no content type", async () => {
    const id = await host.sandbox();
    expect((await host.call("POST", `${collection}/${id}/stop`)).status).toBe(200);
    expect(host.machines.vms.get(id)!.paused).toBe(true);
    const empty = { headers: { "content-type": "application/json", "content-length": "0" } };
    expect((await host.call("POST", `${collection}/${id}/resume`, undefined, empty)).status).toBe(200);
    expect(host.machines.vms.get(id)!.paused).toBe(false);
    expect(host.machines.vms.get(id)!.identities).toHaveLength(2);
  });

  test.each([
    ["an id that is no GUID", "GET", `${collection}/abc`, undefined, "id"],
    ["a long label", "PUT", collection, { sourcesRef, labels: { x: "y".repeat(64) } }, "labels.x"],
    ["a text as entrypoint", "PUT", collection, { sourcesRef, entrypoint: "/bin/sh" }, "entrypoint"],
    ["no source", "PUT", collection, {}, "sourcesRef"],
    ["bad memory", "PUT", collection, { sourcesRef, resources: { cpu: "1", memory: "lots" } }, "resources.memory"],
    [
      "too much memory",
      "PUT",
      collection,
      { sourcesRef, resources: { cpu: "1", memory: "9999Gi" } },
      "resources.memory",
    ],
    [
      "an unknown image",
      "PUT",
      collection,
      { sourcesRef: { diskImage: { name: "nope", isPublic: true } } },
      "sourcesRef.diskImage",
    ],
  ])("%s is a 400 that names the field", async (_what, method, path, body, field) => {
    const reply = await host.call(method, path, body);
    expect(reply.status).toBe(400);
    expect(Object.keys(reply.body.errors)).toEqual([field]);
    expect(reply.body.error.message).toBeTruthy();
  });

  test("what is not there yet is a 501, not a 404", async () => {
    const id = await host.sandbox();
    for (const path of [`${collection}/${id}/containers`, `${groupPath}/connections`]) {
      const reply = await host.call("POST", path, {});
      expect([reply.status, reply.body.error.code]).toEqual([501, "NotSupported"]);
    }
    expect((await host.call("GET", "/nothing")).status).toBe(404);
  });

  test("a full host answers 429 with Retry-After, and has room again after a deletion", async () => {
    await host.disconnect();
    await host.server.stop();
    await host.start({ admission: { memoryBudgetMiB: 700 } });
    const id = await host.sandbox();
    const full = await host.call("PUT", collection, { sourcesRef });
    expect([full.status, full.body.error.code]).toEqual([429, "CapacityExceeded"]);
    expect(full.headers["retry-after"]).toBeTruthy();
    await host.call("DELETE", `${collection}/${id}`);
    await host.sandbox();
  });

  test("a repeated client request id gets the first answer and makes nothing new", async () => {
    const headers = { "x-ms-client-request-id": "7f3f" };
    const first = await host.call("PUT", collection, { sourcesRef }, { headers });
    const second = await host.call("PUT", collection, { sourcesRef }, { headers });
    expect(second.body.id).toBe(first.body.id);
    expect(second.headers["x-ms-client-request-id"]).toBe("7f3f");
    const other = await host.call("PUT", collection, { sourcesRef, labels: { a: "b" } }, { headers });
    expect(other.body.id).not.toBe(first.body.id);
    expect(host.machines.vms.size).toBe(2);
  });

  test("a failed start leaves nothing, and may be repeated under the same request id", async () => {
    const headers = { "x-ms-client-request-id": "8a" };
    host.machines.beforeClone = () => Promise.reject(new SandboxesError("GuestFailed", "it did not boot"));
    const failed = await host.call("POST", collection, { sourcesRef }, { headers, version: newer });
    expect([failed.status, failed.body.error.code]).toEqual([502, "GuestFailed"]);
    expect((await host.call("GET", collection)).body).toEqual([]);
    expect(host.log.join("")).toContain("it did not boot");
    host.machines.beforeClone = undefined;
    expect((await host.call("POST", collection, { sourcesRef }, { headers, version: newer })).status).toBe(201);
  });

  test("an unexpected failure of a POST is no 500, which SDKs would repeat, and tells nothing of its insides", async () => {
    host.machines.beforeClone = () => Promise.reject(new Error("secret path"));
    const failed = await host.call("POST", collection, { sourcesRef }, { version: newer });
    expect(failed.status).toBe(502);
    expect(failed.text).not.toContain("secret path");
    expect(host.log.join("")).toContain("secret path");
  });

  test("a sandbox deleted while it is made is not made", async () => {
    let goOn = () => {};
    host.machines.beforeClone = () =>
      new Promise((resolve) => {
        goOn = resolve;
      });
    const creating = host.call("PUT", collection, { sourcesRef });
    await until(async () => (await host.call("GET", collection)).body.length === 1);
    const [{ id, state }] = (await host.call("GET", collection)).body;
    expect(state).toBe("Creating");
    const deleting = host.call("DELETE", `${collection}/${id}`);
    await until(async () => (await host.call("GET", `${collection}/${id}`)).body.state === "Deleting");
    goOn();
    expect((await deleting).status).toBeLessThan(300);
    expect((await creating).status).toBe(409);
    expect(host.machines.vms.size).toBe(0);
    expect((await host.call("GET", collection)).body).toEqual([]);
  });

  test("a machine that dies makes its sandbox Failed, with the reason", async () => {
    const id = await host.sandbox();
    host.machines.vms.get(id)!.crash("the kernel panicked");
    await until(async () => (await host.call("GET", `${collection}/${id}`)).body.state === "Failed");
    const read = await host.call("GET", `${collection}/${id}`);
    expect(read.body.stateDetails.failedReason).toContain("the kernel panicked");
    const exec = await host.call("POST", `${collection}/${id}/executeShellCommand`, { command: "true" });
    expect([exec.status, exec.body.error.code]).toEqual([409, "SandboxNotRunning"]);
    expect((await host.call("DELETE", `${collection}/${id}`)).status).toBe(200);
  });

  test("the sandbox's own program is started with the image's and its own environment", async () => {
    const id = await host.sandbox({ entrypoint: ["/bin/sh", "-c"], cmd: ["env > own.txt"], environment: { A: "b" } });
    const path = `${collection}/${id}/files?path=/own.txt`;
    await until(async () => (await host.call("GET", path)).text.includes("A=b"));
    expect((await host.call("GET", path)).text).toContain("FROM_IMAGE=image");
  });

  test("a shell that is an image's habit is not started", async () => {
    const id = await host.sandbox();
    expect(host.machines.vms.get(id)!.agent.requests).toEqual([]);
  });
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(10);
}
