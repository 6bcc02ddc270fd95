import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Resource } from "../../provider/pulumi/defineResource";
import type { PropertyBag } from "../../provider/pulumi/propertyBag";
import { diskImage } from "../../provider/resources/diskImage";
import { egressPolicy } from "../../provider/resources/egressPolicy";
import { sandbox } from "../../provider/resources/sandbox";
import { sandboxGroup } from "../../provider/resources/sandboxGroup";
import { secret } from "../../provider/resources/secret";
import { snapshot } from "../../provider/resources/snapshot";
import { vnetConnection } from "../../provider/resources/vnetConnection";
import { volume } from "../../provider/resources/volume";
import { type Counts, nothing } from "../azure/double/azureDouble";
import type { Fault } from "../azure/double/faults";
import { newer, older } from "../azure/double/wire";
import { ResourceAzure } from "./resourceAzure";
import { type Existing, keyOf, make } from "./resourceHost";

/** No answer to a creation is longer; what is cut after its end is an answer whose connection ends. */
const longestAnswer = 1100;

/** So many bytes that arrive, dense in the first line; the two versions are cut at different ones. */
function cutsOf(kind: keyof Counts, apiVersion: string): number[] {
  const count = kind === "sandboxes" ? 60 : 16;
  const shift = apiVersion === older ? 0 : 1;
  return Array.from({ length: count }, (_value, index) => shift + Math.round(longestAnswer * (index / count) ** 2));
}

const subnetId = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/virtualNetworks/v/subnets/one";
const cases: [kind: keyof Counts, Resource, news: PropertyBag, path: RegExp][] = [
  ["groups", sandboxGroup, { __logicalName: "lab" }, /\/sandboxGroups\/[^/]+$/],
  ["vnetConnections", vnetConnection, { subnetId, __logicalName: "net" }, /\/vnetConnections\/[^/]+$/],
  ["diskImages", diskImage, { image: "python:3.12", credentials: { username: "me", password: "pw" } }, /\/diskimages$/],
  ["sandboxes", sandbox, { image: "python", env: { TOKEN: "t" } }, /\/sandboxes$/],
  ["snapshots", snapshot, {}, /\/snapshot$/],
  ["volumes", volume, { type: "AzureBlob", __logicalName: "data" }, /\/volumes\/[^/]+$/],
  ["secrets", secret, { values: { A: "1" }, __logicalName: "token" }, /\/secrets\/[^/]+$/],
  ["egressPolicies", egressPolicy, { defaultAction: "Deny", __logicalName: "out" }, /\/egressPolicies\/[^/]+$/],
];

describe.each([older, newer])("on Azure, %s, a creation whose answer is lost", (apiVersion) => {
  let provider: ResourceAzure;
  let group: Existing;
  let box: Existing;
  beforeAll(async () => {
    provider = await ResourceAzure.start(apiVersion, { operationPolls: 0, buildPolls: 0 });
    group = await provider.group(provider.session(), { __key: keyOf("the group") });
    box = await provider.sandbox(provider.session(), group, { __key: keyOf("the sandbox") });
  });
  afterAll(() => provider.close());

  it.each(cases)(
    "at one of many places makes one of %s, if not at once, then with the next update",
    async (kind, resource, news, path) => {
      const parent = resource === sandboxGroup ? {} : { group: group.id };
      const made = { ...parent, ...news, __key: keyOf(`lost ${kind}`) };
      const all = resource === snapshot ? { ...made, sandbox: box.id } : made;
      const before = provider.double.counts();
      const { faults } = provider.double;
      for (const [index, cutAt] of cutsOf(kind, apiVersion).entries()) {
        const lost: Fault = { path, method: methodOf(kind, apiVersion), kind: { cutAt } };
        // At every second position the service is gone after that, as far as the process can see that asked for it.
        const goneAfter: Fault[] = index % 2 ? [{ path: /./, times: 99, kind: "reset" }] : [];
        faults.add(lost, ...goneAfter.map((fault) => ({ ...fault, after: lost })));
        const first = await make(resource, provider.session(), all).catch((error) => error as Error);
        faults.clear();
        const session = provider.session();
        const known = first instanceof Error ? await make(resource, session, all) : first;
        expect({ cutAt, ...provider.double.counts() }).toEqual({ cutAt, ...before, [kind]: before[kind] + 1 });
        await resource.delete(session, known.id, known.state);
        expect(provider.double.counts()).toEqual(before);
      }
      expect(before).toMatchObject({ ...nothing, groups: 1, sandboxes: 1 });
    },
    120_000,
  );
});

function methodOf(kind: keyof Counts, apiVersion: string): string {
  if (kind === "snapshots") return "POST";
  return (kind === "sandboxes" || kind === "diskImages") && apiVersion === newer ? "POST" : "PUT";
}
