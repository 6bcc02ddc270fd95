import { createHash } from "node:crypto";
import * as pulumi from "@pulumi/pulumi";
import { beforeAll, describe, expect, it } from "vitest";
import { resourceKey } from "../../provider/pulumi/resourceKey";

const type = "pulumi-nodejs:dynamic/sandboxes:Sandbox";

describe("a resource's key", () => {
  beforeAll(async () => {
    const mocks: pulumi.runtime.Mocks = { newResource: ({ name }) => ({ id: name, state: {} }), call: () => ({}) };
    await pulumi.runtime.setMocks(mocks, "project", "stack", false, "organization");
  });

  it("comes from the URN that Pulumi gives the resource, with a parent and without", async () => {
    const parent = new pulumi.ComponentResource("my:index:Lab", "lab");
    for (const above of [undefined, parent]) {
      const urn = await new Promise<string>((resolve) => {
        pulumi.createUrn("box", type, above).apply(resolve);
      });
      const text = `organization/project/stack\n${urn}`;
      expect(await resourceKey(type, "box", above)).toBe(createHash("sha256").update(text).digest("hex").slice(0, 32));
    }
  });

  it("tells apart resources of one name in two components", async () => {
    const [one, other] = ["a", "b"].map((kind) => new pulumi.ComponentResource(`my:index:${kind}`, "lab"));
    expect(await resourceKey(type, "box", one)).not.toBe(await resourceKey(type, "box", other));
  });
});
