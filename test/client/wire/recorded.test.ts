import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { z } from "zod";
import { diskImageView } from "../../../provider/client/wire/diskImages";
import { errorBody, readErrorBody } from "../../../provider/client/wire/errors";
import { sandboxView, stopResult } from "../../../provider/client/wire/sandboxes";
import { commitResult, snapshotView } from "../../../provider/client/wire/snapshots";

const folder = join(__dirname, "../../fixtures/azure");
const schemas: Record<string, z.ZodType> = {
  "diskimage-create.201.json": diskImageView,
  "sandbox-create.201.json": sandboxView,
  "sandbox-stopped.get200.json": sandboxView,
  "sandbox-stop.200.json": stopResult,
  "sandbox-not-found.404.json": errorBody,
  "sandbox-not-running.409.json": errorBody,
};

function recorded(name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(folder, name), "utf8"));
}

describe("what Azure was recorded to answer", () => {
  it.each(Object.keys(schemas))("reads %s and keeps every key of it", (name) => {
    const body = recorded(name);
    expect(schemas[name]?.parse(body)).toMatchObject(body);
  });

  it("reads a resumed sandbox, which still carries the details of its stop", () => {
    expect(recorded("sandbox-resume.200.json")).toHaveProperty("_same_as");
    const body = { ...recorded("sandbox-stopped.get200.json"), state: "Running", region: "eastus2" };
    expect(sandboxView.parse(body)).toMatchObject(body);
  });

  it("reads a commit, whose image is wrapped", () => {
    const body = recorded("sandbox-commit.200.json").diskImage as object;
    expect(diskImageView.parse(body)).toMatchObject(body);
    expect(commitResult.parse(recorded("sandbox-commit.200.json"))).toMatchObject(body);
  });

  it("has no recording that is not read", () => {
    const read = [...Object.keys(schemas), "sandbox-resume.200.json", "sandbox-commit.200.json"];
    expect(
      readdirSync(folder)
        .filter((name) => name.endsWith(".json"))
        .sort(),
    ).toEqual(read.sort());
  });
});

describe("snapshots", () => {
  it("reads one as a stop answers it, which is the only one recorded", () => {
    const body = recorded("sandbox-stop.200.json");
    expect(snapshotView.parse(body)).toMatchObject(body);
  });
});

describe("error bodies", () => {
  it("reads the envelope of ARM and of the newer data plane", () => {
    expect(readErrorBody(recorded("sandbox-not-running.409.json"))).toEqual({
      code: "SandboxNotRunning",
      message: "Sandbox '3e355780-b2d2-414e-865e-d6586e0ddd06' is not in Running state",
    });
  });

  it("reads problem+json of the older data plane", () => {
    const body = { title: "Not Found", status: 404, detail: "gone", errorCode: "SandboxNotFound", traceId: "00-ab" };
    expect(readErrorBody(body)).toEqual({ code: "SandboxNotFound", message: "gone", traceId: "00-ab" });
  });

  it("names the field of a validation failure", () => {
    const body = { title: "One or more validation errors occurred.", errors: { id: ["The input was not valid."] } };
    expect(readErrorBody(body)).toEqual({ message: "The input was not valid.", field: "id" });
  });

  it("reads a body that is both, with a hint", () => {
    const error = { code: "InvalidRequest", message: "bad memory", target: "resources.memory", hint: 'write "2Gi"' };
    expect(readErrorBody({ title: "InvalidRequest", status: 400, detail: "bad memory", error })).toEqual({
      code: "InvalidRequest",
      message: "bad memory",
      field: "resources.memory",
      hint: 'write "2Gi"',
    });
  });

  it("makes nothing of an empty or foreign body", () => {
    expect(readErrorBody(undefined)).toEqual({});
    expect(readErrorBody("")).toEqual({});
    expect(readErrorBody([1])).toEqual({});
    expect(readErrorBody("<html>upstream died</html>")).toEqual({ message: "<html>upstream died</html>" });
  });
});
