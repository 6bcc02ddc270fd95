import { describe, expect, it } from "vitest";
import type { Resource } from "../../provider/pulumi/defineResource";
import { lazyResource } from "../../provider/pulumi/lazyResource";
import type { PropertyBag } from "../../provider/pulumi/propertyBag";
import { unknownValue } from "../../provider/pulumi/unknowns";
import { offlineSession, thingOver } from "./thing";

const rules = {
  inputNames: ["name", "size", "tags", "options", "env", "__key"],
  computed: ["name"],
  fillIn: (inputs: PropertyBag) => ({ size: "512Mi", ...inputs }),
  brokenBy: (olds: PropertyBag) => (olds.state === "Failed" ? "state" : undefined),
};

/** A thing whose definition is loaded late, and how often that was needed. */
function lateThing() {
  const eager: Resource = thingOver(new Map());
  const loads = { count: 0 };
  const load = async () => {
    loads.count += 1;
    return eager;
  };
  return { late: lazyResource(rules, load), eager, loads, session: offlineSession() };
}

const given = { tags: { team: "one" }, env: { KEY: "value" }, __key: "k" };
const olds = { ...given, size: "512Mi" };
const state = { ...olds, name: "auto-1", state: "Ready", __filledIn: ["name"] };

describe("a resource that is loaded when there is something to do", () => {
  it("is not loaded for what has not changed, in whichever order keys come", async () => {
    const { late, loads, session } = lateThing();
    const news = { __key: "k", env: { KEY: "value" }, tags: { team: "one" } };
    expect(await late.check(session, olds, news)).toEqual({ inputs: olds, failures: [] });
    expect(await late.diff(session, "auto-1", state, olds)).toEqual({
      ...{ changes: [], replaces: [], deleteBeforeReplace: false },
    });
    expect(loads.count).toBe(0);
    expect(session.knownIds.has("auto-1")).toBe(true);
  });

  const checks: [string, PropertyBag][] = [
    ["a changed value", { ...given, tags: { team: "two" } }],
    ["one that was added", { ...given, name: "mine" }],
    ["one that was taken away", { tags: given.tags, __key: "k" }],
    ["one within a map", { ...given, tags: { team: "one", more: "x" } }],
    ["another spelling", { ...given, size: "0.5Gi" }],
    ["a default that is no longer asked for", { ...given, size: "1Gi" }],
    ["what is not known yet", { ...given, tags: unknownValue }],
    ["a property that there is not", { ...given, sise: "1Gi" }],
  ];
  it.each(checks)("is checked as ever where there is %s", async (_what, news) => {
    const { late, eager, loads, session } = lateThing();
    expect(await late.check(session, olds, news)).toEqual(eager.check(session, olds, news));
    expect(loads.count).toBe(1);
  });

  const diffs: [string, PropertyBag, PropertyBag][] = [
    ["a changed value", state, { ...olds, tags: { team: "two" } }],
    ["one that was added", state, { ...olds, name: "mine" }],
    ["one that was taken away", state, { size: "512Mi", __key: "k", env: given.env }],
    ["what somebody else changed", { ...state, tags: { team: "theirs" } }, olds],
    ["what is not known yet", state, { ...olds, tags: { team: unknownValue } }],
    ["an object that is broken", { ...state, state: "Failed" }, olds],
    ["a state of an older version", { ...state, size: "0.5Gi" }, olds],
  ];
  it.each(diffs)("is compared as ever where there is %s", async (_what, before, news) => {
    const { late, eager, loads, session } = lateThing();
    expect(await late.diff(session, "auto-1", before, news)).toEqual(eager.diff(session, "auto-1", before, news));
    expect(loads.count).toBe(1);
  });
});
