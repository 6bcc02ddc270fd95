import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { expectShape, recorded } from "../../fixtures/recordedReply";
import { groupPath, newer, older, RunningHost } from "../fakes/runningHost";

const diskImage = { labels: { probe: "aisloth" }, name: "probe-pause" };
const sandbox = {
  labels: { probe: "aisloth", key: "one" },
  entrypoint: ["/bin/true"],
  resources: { cpu: "250m", memory: "512Mi", disk: "5120Mi" },
};

describe("replies have the shape of Azure's recorded ones", () => {
  let host: RunningHost;
  beforeEach(async () => {
    host = await (await new RunningHost().start()).withGroup();
  });
  afterEach(() => host.close());

  test("disk image and sandbox through their life, newer version", async () => {
    const image = await host.call(
      "POST",
      `${groupPath}/diskimages`,
      { source: { kind: "registry", imageUrl: "registry.k8s.io/pause:3.10" }, ...diskImage },
      { version: newer },
    );
    expect(image.status).toBe(201);
    expectShape(image.body, recorded("diskimage-create.201"));

    const sourcesRef = { diskImage: { id: image.body.id, isPublic: false } };
    const created = await host.call("POST", `${groupPath}/sandboxes`, { ...sandbox, sourcesRef }, { version: newer });
    expect(created.status).toBe(201);
    expectShape(created.body, recorded("sandbox-create.201"));
    expect(created.body).toMatchObject({ ...sandbox, sourcesRef, state: "Running", region: "local" });
    const path = `${groupPath}/sandboxes/${created.body.id}`;

    const stopped = await host.call("POST", `${path}/stop`, {}, { version: newer });
    expect(stopped.status).toBe(200);
    expectShape(stopped.body, recorded("sandbox-stop.200"));
    expect(stopped.body).toMatchObject({ sandboxId: created.body.id, resources: sandbox.resources });

    const read = await host.call("GET", path, undefined, { version: newer });
    expectShape(read.body, recorded("sandbox-stopped.get200"));
    expect(read.body).toMatchObject({ state: "Stopped", snapshotId: stopped.body.id });

    const again = await host.call("POST", `${path}/stop`, {}, { version: newer });
    expect(again.status).toBe(409);
    expect(again.body.error.code).toBe(recorded("sandbox-not-running.409").error.code);
    expect(again.body.error.message).toContain("is not in Running state");

    // As recorded: what a stop left stays after the resume.
    const resumed = await host.call("POST", `${path}/resume`, {}, { version: newer });
    expectShape(resumed.body, recorded("sandbox-stopped.get200"));
    expect(resumed.body).toMatchObject({ state: "Running", snapshotId: stopped.body.id });
    const twice = await host.call("POST", `${path}/resume`, {}, { version: newer });
    expect([twice.status, twice.body.error.code]).toEqual([409, "InvalidSandboxState"]);
  });

  test("a sandbox that does not exist", async () => {
    const path = `${groupPath}/sandboxes/3e355780-b2d2-414e-865e-d6586e0ddd06`;
    const missing = await host.call("GET", path, undefined, { version: newer });
    expect(missing.status).toBe(404);
    expectShape(missing.body, recorded("sandbox-not-found.404"));
    expect(missing.body.error.code).toBe("SandboxNotFound");
    expect(missing.headers["content-type"]).toMatch(/^application\/json/);
    const problem = await host.call("GET", path, undefined, { version: older });
    expect(problem.headers["content-type"]).toMatch(/^application\/problem\+json/);
    expect(problem.body).toMatchObject({ title: "SandboxNotFound", status: 404, errorCode: "SandboxNotFound" });
    expect(problem.body.traceId).toBe(problem.headers["x-ms-request-id"]);
  });
});
