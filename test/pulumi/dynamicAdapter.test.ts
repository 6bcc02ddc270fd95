import { describe, expect, it } from "vitest";
import { SandboxesError } from "../../provider/client/errors";
import { dynamicAdapter } from "../../provider/pulumi/dynamicAdapter";
import { InitFailed } from "../../provider/pulumi/initFailed";
import { offlineSession, thingOver } from "./thing";

const things = new Map();
const resource = thingOver(things);
const __provider = "text of the trampoline";

describe("the dynamic adapter", () => {
  const adapter = dynamicAdapter(resource, offlineSession());

  it("serves a life: check, create, no change, update, replace, read, delete", async () => {
    const { inputs } = await adapter.check({}, { size: "1Gi", __provider });
    expect(inputs).toEqual({ size: "1024Mi" });
    const { id, outs } = await adapter.create({ ...inputs, __provider });
    expect(outs).not.toHaveProperty("__provider");
    const olds = { ...outs, __provider: "an older text" };
    expect(await adapter.diff(id, olds, { ...inputs, __provider })).toEqual(noChange);
    expect(await adapter.diff(id, olds, { ...inputs, tags: { a: "1" } })).toEqual({ ...noChange, changes: true });
    expect((await adapter.diff(id, olds, { size: "2048Mi" })).replaces).toEqual(["size"]);
    const updated = await adapter.update(id, olds, { ...inputs, tags: { a: "1" } });
    expect(updated.outs).toMatchObject({ size: "1024Mi", tags: { a: "1" }, state: "Ready" });
    expect(await adapter.read(id, updated.outs)).toEqual({
      id,
      props: updated.outs,
      inputs: { size: "1024Mi", tags: { a: "1" } },
    });
    await adapter.delete(id, updated.outs);
    expect(await adapter.read(id, updated.outs)).toEqual({});
  });

  it("returns nothing that protobuf has no word for", async () => {
    const { outs } = await adapter.create({ size: "512Mi", name: undefined });
    expect(Object.values(outs)).not.toContain(undefined);
  });

  it("knows the configuration before the engine's next call, without waiting", () => {
    const session = offlineSession();
    const served = dynamicAdapter(resource, session);
    const values: Record<string, string> = { "sandboxes:endpoint": "unix:/run/x.sock" };
    void served.configure({ config: { get: (key) => values[key] } });
    expect(session.config).toMatchObject({ target: "microvm", endpoint: "unix:/run/x.sock" });
  });

  it("gives the engine one line that says what to do, without a stack", async () => {
    const failing = adapterThatFails(new SandboxesError("HostUnavailable", "Cannot reach it", { hint: "start it" }));
    const error = await failing.create({}).catch((thrown) => thrown);
    expect(`${error}: ${error.stack}`).toBe("HostUnavailable: Cannot reach it (start it): ");
    expect(error.code).toBeUndefined();
  });

  it("hands over an object that exists but is not ready, in the fields that the engine's host reads", async () => {
    const failing = adapterThatFails(new InitFailed("id-1", { state: "Building" }, "still building"));
    const handedOver = {
      id: "id-1",
      properties: { state: "Building", __provider: "text" },
      reasons: ["still building"],
    };
    // The engine could not even delete it without the text, which its host does not put back into an error.
    await expect(failing.create({ __provider: "text" })).rejects.toMatchObject(handedOver);
    await expect(failing.update("id-1", { __provider: "older" }, { __provider: "text" })).rejects.toMatchObject(
      handedOver,
    );
  });

  it("shows no secret of the configuration, in whatever error it stands", async () => {
    const session = offlineSession();
    session.configure((key) => (key === "sandboxes:clientSecret" ? "configured-secret" : undefined));
    expect(session.config.target).toBe("microvm");
    const text = "sent configured-secret to nowhere";
    for (const thrown of [new SandboxesError("Internal", text), new Error(text), new InitFailed("id", {}, text)]) {
      const error = await adapterThatFails(thrown)
        .create({})
        .catch((reason) => reason);
      expect(`${error.message} ${error.stack}`).toContain("sent [secret] to nowhere");
      expect(`${error.message} ${error.stack} ${error.reasons}`).not.toContain("configured-secret");
    }
  });
});

const noChange = { changes: false, replaces: [], deleteBeforeReplace: false };

function adapterThatFails(error: Error) {
  const fail = () => Promise.reject(error);
  return dynamicAdapter({ ...resource, create: fail, update: fail }, offlineSession());
}
