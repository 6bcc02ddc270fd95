import { describe, expect, it } from "vitest";
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
import { keyOf, make } from "./resourceHost";

/** Two attempts are as good as six where all fail. */
const connections = { retry: { attempts: 2, budgetMs: 3_000, baseMs: 1, maxMs: 1 } };

const subnetId = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/virtualNetworks/v/subnets/one";
const credentials = { username: "me", password: "pw" };
type Case = [kind: keyof Counts, Resource, news: PropertyBag, path: RegExp];
const ofControlPlane: Case[] = [
  ["groups", sandboxGroup, { __logicalName: "lab" }, /\/sandboxGroups\/[^/]+$/],
  ["vnetConnections", vnetConnection, { subnetId, __logicalName: "net" }, /\/vnetConnections\/[^/]+$/],
];
const ofDataPlane: Case[] = [
  ["diskImages", diskImage, { image: "python:3.12", credentials }, /\/diskimages$/],
  ["sandboxes", sandbox, { image: "python", env: { TOKEN: "t" } }, /\/sandboxes$/],
  ["snapshots", snapshot, {}, /\/snapshot$/],
  ["volumes", volume, { type: "AzureBlob", __logicalName: "data" }, /\/volumes\/[^/]+$/],
  ["secrets", secret, { values: { A: "1" }, __logicalName: "token" }, /\/secrets\/[^/]+$/],
  ["egressPolicies", egressPolicy, { defaultAction: "Deny", __logicalName: "out" }, /\/egressPolicies\/[^/]+$/],
];
const cases: [apiVersion: string, ...Case][] = [
  ...ofControlPlane.map((each): [string, ...Case] => [older, ...each]),
  ...[older, newer].flatMap((version) => ofDataPlane.map((each): [string, ...Case] => [version, ...each])),
];

describe("on Azure, a creation whose answer is lost", () => {
  it.concurrent.each(cases)(
    "%s: at whichever byte, makes one of %s, if not at once, then with the next update",
    async (apiVersion, kind, resource, news, path) => {
      const provider = await ResourceAzure.start(apiVersion, { operationPolls: 0, buildPolls: 0 }, connections);
      try {
        await loseEachByte(provider, { kind, resource, news, path, method: methodOf(kind, apiVersion) });
      } finally {
        await provider.close();
      }
    },
    1_200_000,
  );
});

interface Lost {
  kind: keyof Counts;
  resource: Resource;
  news: PropertyBag;
  path: RegExp;
  method: string;
}

async function loseEachByte(provider: ResourceAzure, { kind, resource, news, path, method }: Lost): Promise<void> {
  const group = await provider.group(provider.session(), { __key: keyOf("the group") });
  const box = await provider.sandbox(provider.session(), group, { __key: keyOf("the sandbox") });
  const parent = resource === sandboxGroup ? {} : { group: group.id };
  const made = { ...parent, ...news, __key: keyOf(`lost ${kind}`) };
  const all = resource === snapshot ? { ...made, sandbox: box.id } : made;
  const { double } = provider;
  const before = double.counts();
  expect(before).toEqual({ ...nothing, groups: 1, sandboxes: 1 });
  // From the first byte of the status line to the end, where all has come and the connection ends.
  for (let cutAt = 0, length = 1; cutAt <= length; cutAt++) {
    const lost: Fault = { path, method, kind: { cutAt } };
    // At every second byte the service is gone after that, as far as the process can see that asked for it.
    const goneAfter: Fault[] = cutAt % 2 ? [{ path: /./, times: 99, kind: "reset", after: lost }] : [];
    double.faults.add(lost, ...goneAfter);
    const first = await make(resource, provider.session(), all).catch((error) => error as Error);
    double.faults.clear();
    length = double.faults.cutLength;
    const next = provider.session();
    const known = first instanceof Error ? await make(resource, next, all) : first;
    expect({ cutAt, ...double.counts() }).toEqual({ cutAt, ...before, [kind]: before[kind] + 1 });
    await resource.delete(next, known.id, known.state);
    expect(double.counts()).toEqual(before);
  }
  expect(double.faults.cutLength).toBeGreaterThan("HTTP/1.1 200 X".length);
}

function methodOf(kind: keyof Counts, apiVersion: string): string {
  if (kind === "snapshots") return "POST";
  return (kind === "sandboxes" || kind === "diskImages") && apiVersion === newer ? "POST" : "PUT";
}
