import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { PropertyBag } from "../../provider/pulumi/propertyBag";
import type { Session } from "../../provider/pulumi/session";
import { lifecycleContent, lifecycleInputs } from "../../provider/resources/lifecycleInput";
import { sandbox } from "../../provider/resources/sandbox";
import { type Existing, inputsOf, ResourceHost } from "./resourceHost";

let provider: ResourceHost;
let session: Session;
let group: Existing;

beforeEach(async () => {
  provider = await new ResourceHost().start();
  session = provider.session();
  group = await provider.group(session);
});
afterEach(() => provider.close());

const lifecycle = {
  autoSuspendPolicy: { enabled: true, interval: 600 },
  autoDeletePolicy: { enabled: true, deleteIntervalInDays: 2 },
};
const inputs = (news: PropertyBag) => inputsOf(sandbox, session, { group: group.id, image: "python", ...news });
const liveOf = async ({ id }: Existing) => (await provider.host.call("GET", id)).body.lifecycle;
const changesOf = async (made: Existing, news: PropertyBag) => {
  const found = await sandbox.read(provider.session(), made.id, made.state);
  return sandbox.diff(session, made.id, found?.state ?? {}, inputs(news)).changes.map(({ path }) => path);
};

describe("a sandbox's lifecycle", () => {
  it("is as declared from the beginning, and unchanged after a refresh", async () => {
    const made = await provider.sandbox(session, group, { lifecycle });
    expect(await liveOf(made)).toEqual({
      autoSuspendPolicy: { enabled: true, interval: 600, mode: "Memory" },
      autoDeletePolicy: { enabled: true, deleteIntervalInDays: 2, trigger: "AfterSuspend" },
    });
    expect((await sandbox.read(provider.session(), made.id, made.state))?.state).toEqual(made.state);
    expect(await changesOf(made, { lifecycle })).toEqual([]);
  });

  it("changes in place, of a stopped sandbox too, and ends when nothing is said of it any more", async () => {
    const made = await provider.sandbox(session, group, { lifecycle });
    await provider.host.call("POST", `${made.id}/stop`, {});
    const news = {
      lifecycle: { autoDeletePolicy: { enabled: true, deleteIntervalInSeconds: 90, trigger: "AfterCreation" } },
    };
    const { replaces } = sandbox.diff(session, made.id, made.state, inputs(news));
    expect(replaces).toEqual([]);
    const state = await sandbox.update(session, made.id, made.state, inputs(news));
    expect(await liveOf(made)).toMatchObject({
      autoSuspendPolicy: { enabled: false },
      autoDeletePolicy: { enabled: true, deleteIntervalInSeconds: 90, trigger: "AfterCreation" },
    });
    expect(await changesOf({ id: made.id, state }, news)).toEqual([]);
    await sandbox.update(session, made.id, state, inputs({}));
    expect(await liveOf(made)).toMatchObject({
      autoSuspendPolicy: { enabled: false },
      autoDeletePolicy: { enabled: false },
    });
  });

  it("tells by property what somebody else changed, and puts it back", async () => {
    const made = await provider.sandbox(session, group, { lifecycle });
    await provider.host.call("POST", `${made.id}/lifecycle`, {
      autoSuspendPolicy: { enabled: false },
      autoDeletePolicy: { enabled: true, deleteIntervalInSeconds: 60 },
    });
    expect(await changesOf(made, { lifecycle })).toEqual([
      "lifecycle.autoDeletePolicy.deleteIntervalInDays",
      "lifecycle.autoSuspendPolicy.enabled",
    ]);
    const state = await sandbox.update(session, made.id, made.state, inputs({ lifecycle }));
    expect(await changesOf({ id: made.id, state }, { lifecycle })).toEqual([]);
  });

  it("reads days where a service tells seconds, and the other way round", () => {
    const inDays = { autoDeletePolicy: { enabled: true, deleteIntervalInDays: 1 } };
    const inSeconds = { autoDeletePolicy: { enabled: true, deleteIntervalInSeconds: 86_400 } };
    expect(lifecycleInputs(inSeconds, inDays)).toMatchObject(inDays);
    expect(lifecycleInputs(inDays, inSeconds)).toMatchObject(inSeconds);
  });

  it("has on each target its own default for what is left out", () => {
    const suspendOf = (target: "microvm" | "azure") => lifecycleContent({}, target).autoSuspendPolicy;
    expect(suspendOf("microvm")).toMatchObject({ enabled: false });
    expect(suspendOf("azure")).toEqual({ enabled: true, interval: 300, mode: "Memory" });
  });

  it.each([
    [{ autoDeletePolicy: { enabled: true } }, "lifecycle.autoDeletePolicy", "give one of"],
    [{ autoSuspendPolicy: { enabled: true, interval: 0 } }, "lifecycle.autoSuspendPolicy.interval", "idle seconds"],
    [{ autoSuspendPolicy: { enabled: true, mode: "Disk" } }, "lifecycle", "not mode Disk"],
    [{ autoSuspend: {} }, "lifecycle", "known: autoSuspendPolicy, autoDeletePolicy"],
  ])("is refused where it cannot be had: %o", (given, property, reason) => {
    const { failures } = sandbox.check(session, {}, { group: group.id, image: "python", lifecycle: given });
    expect(failures).toMatchObject([{ property, reason: expect.stringContaining(reason) }]);
  });
});
