import { describe, expect, it } from "vitest";
import { defaultApiVersion, newerDataPlaneVersion } from "../../provider/client/wire/versions";
import type { Parity } from "../../provider/pulumi/parity";
import { type Target, targets } from "../../provider/pulumi/providerConfig";
import { Session } from "../../provider/pulumi/session";
import { diskImage } from "../../provider/resources/diskImage";
import { egressPolicy } from "../../provider/resources/egressPolicy";
import { sandbox } from "../../provider/resources/sandbox";
import { sandboxGroup } from "../../provider/resources/sandboxGroup";
import { secret } from "../../provider/resources/secret";
import { snapshot } from "../../provider/resources/snapshot";
import { targetParity } from "../../provider/resources/targetParity";
import { vnetConnection } from "../../provider/resources/vnetConnection";
import { volume } from "../../provider/resources/volume";
import { inputsOf, parityPage } from "./parityPage";

const resources = [sandboxGroup, diskImage, sandbox, snapshot, volume, vnetConnection, secret, egressPolicy];
const parity: Readonly<Record<string, Parity>> = targetParity;

const subnetId = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/n/subnets/s";
/** For each input that a target refuses, or refuses some values of: one of these. */
const refused: Record<string, unknown> = {
  "DiskImage.image": "rootfs:/tmp/x.tar",
  "SandboxGroup.identity": { type: "SystemAssigned" },
  "SandboxGroup.environmentId": "/subscriptions/s1/environment",
  "SandboxGroup.assignDataOwner": true,
  "DiskImage.blob": "https://account.blob.core.windows.net/images/app.tar",
  "DiskImage.identity": "system",
  "DiskImage.vnetConnection": "office",
  "DiskImage.entrypoint": ["sh"],
  "DiskImage.cmd": ["sh"],
  "DiskImage.warmUp": ["true"],
  "Sandbox.egress": { transportRules: { defaultAction: "Deny", rules: [] } },
  "EgressPolicy.rules": [{ match: { host: "a.test" }, hookRef: { endpoint: "https://a.test" } }],
  "EgressPolicy.defaultForward": { url: "http://proxy.test:3128" },
  "EgressPolicy.transportRules": { defaultAction: "Deny", rules: [] },
  "EgressPolicy.tds": { defaultAction: "Deny", credentials: [], rules: [] },
  "Sandbox.ports": [{ port: 80, auth: { github: { enabled: true } } }],
  "Sandbox.vnetConnection": "office",
  "Sandbox.preset": "Claude",
  "Sandbox.anthropicApiKey": "a-key",
  "Sandbox.presetProperties": { isWorkIqConnectionEnabled: true },
  "Sandbox.pod": { containers: [{ name: "web", image: "python" }] },
  "Sandbox.artifactVersion": { id: "one", identity: "system" },
  "Sandbox.identitySettings": [{ identity: "system" }],
  "Sandbox.agentIdentity": { tenantId: "t", agentId: "a" },
  "Sandbox.connections": ["one"],
  "Sandbox.gatewayConnections": ["/subscriptions/s1/gateway"],
  "Sandbox.credentialRefs": ["one"],
  "Sandbox.contentPackageDownloads": [{ contentPackageId: "one", targetPath: "/srv" }],
  "Sandbox.telemetryConfig": {
    endpoints: [{ kind: "OTLP", endpoint: "https://a.test/otlp", protocol: "Http", data: ["Metrics"] }],
  },
  "Sandbox.projectId": "one",
  "VnetConnection.subnetId": subnetId,
  "Sandbox.volumes": [{ volume: "data", mountpoint: "/proc" }],
  "Sandbox.lifecycle": { autoSuspendPolicy: { enabled: true, mode: "Disk" } },
  "Volume.type": "Esan",
  "Volume.size": "1Gi",
  "Volume.storageContainerResourceId": "/subscriptions/s1/blob",
  "Volume.identity": "system",
};

const others: Record<string, object> = {
  DiskImage: { image: "python" },
  Sandbox: { image: "python" },
  Snapshot: { sandbox: "00000000-0000-4000-8000-000000000000" },
  Volume: { type: "AzureBlob" },
  VnetConnection: { subnetId },
  Secret: { values: { A: "1" } },
};

const config: Record<string, string> = {
  "sandboxes:subscriptionId": "s1",
  "sandboxes:resourceGroupName": "rg",
  "sandboxes:location": "eastus2",
};

/** What the older version of the data plane refuses; all else is asked of the newer one. */
const ofOlder = ["blob", "identity", "vnetConnection"];

function failuresOf(token: string, target: Target, news: object): string[] {
  const session = new Session(() => Promise.reject(new Error("nothing is asked")));
  const isOlder = token === "DiskImage" && ofOlder.some((name) => name in news);
  const version = isOlder ? defaultApiVersion : newerDataPlaneVersion;
  session.configure((key) => ({ ...config, "sandboxes:apiVersion": version, "sandboxes:target": target })[key]);
  const group = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.App/sandboxGroups/lab";
  const resource = resources.find((each) => each.token === token)!;
  const common = token === "SandboxGroup" ? {} : { group };
  const { failures } = resource.check(session, {}, { ...common, ...others[token], ...news });
  // What is secret is named in the reason only, for the engine prints the value of a property that is named.
  return failures.map(({ property, reason }) => (property ? `${property}: ${reason}` : reason));
}

const entries = Object.entries(parity).flatMap(([token, byInput]) =>
  Object.keys(byInput).flatMap((input) => targets.map((target) => [token, input, target] as const)),
);

describe("the table of target parity", () => {
  it("names resources and inputs that there are", () => {
    for (const [token, byInput] of Object.entries(parity)) {
      const resource = resources.find((each) => each.token === token);
      expect(inputsOf(resource!.inputs)).toEqual(expect.arrayContaining(Object.keys(byInput)));
    }
  });

  it.each(entries)("%s.%s on %s is what check does", (token, input, target) => {
    const support = parity[token]?.[input]?.[target];
    const value = refused[`${token}.${input}`];
    const failures = value === undefined ? [] : failuresOf(token, target, { [input]: value });
    const reasons = failures.filter((text) => text.startsWith(`${input}: not on target ${target}: `));
    const isRefused = support !== undefined && support.support !== "yes";
    expect(reasons).toEqual(isRefused ? [`${input}: not on target ${target}: ${support.text}`] : []);
  });

  const had = ({ token }: { token: string }) =>
    targets.filter((target) => `${token} ${target}` !== "VnetConnection microvm");
  it.each(resources.flatMap((each) => had(each).map((target) => [each.token, target] as const)))(
    "%s on %s is taken with what both have",
    (token, target) => {
      expect(failuresOf(token, target, {})).toEqual([]);
    },
  );

  it("is a page of the documentation", async () => {
    await expect(parityPage(resources, parity)).toMatchFileSnapshot("../../docs/targetParity.md");
  });
});
