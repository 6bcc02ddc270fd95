import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Resource } from "../../provider/pulumi/defineResource";
import type { PropertyBag } from "../../provider/pulumi/propertyBag";
import type { Session } from "../../provider/pulumi/session";
import { diskImage } from "../../provider/resources/diskImage";
import { sandbox } from "../../provider/resources/sandbox";
import { sandboxGroup } from "../../provider/resources/sandboxGroup";
import { snapshot } from "../../provider/resources/snapshot";
import { vnetConnection } from "../../provider/resources/vnetConnection";
import { volume } from "../../provider/resources/volume";
import { anyLifecycle } from "./anyLifecycle";
import { ResourceAzure } from "./resourceAzure";
import { type Existing, inputsOf, keyOf, make, ResourceHost } from "./resourceHost";

interface Place {
  session(): Session;
  group(session: Session): Promise<Existing>;
  sandbox(session: Session, group: Existing): Promise<Existing>;
  close(): Promise<void>;
}

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const argv = fc.array(fc.string({ unit: "grapheme" }), { maxLength: 4 });
const labels = fc.dictionary(fc.string({ minLength: 1, maxLength: 30 }), fc.string({ maxLength: 63 }), { maxKeys: 5 });
const env = fc.dictionary(fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,9}$/), fc.string({ unit: "grapheme-ascii" }), {
  maxKeys: 3,
});
/** Tag names that Azure takes: none of its forbidden signs, and none twice in another case. */
const tags = fc
  .dictionary(fc.stringMatching(/^[^<>%&\\?/\u0000-\u001f]{1,20}$/), fc.string({ maxLength: 63 }), { maxKeys: 5 })
  .filter((all) => new Set(Object.keys(all).map((name) => name.toLowerCase())).size === Object.keys(all).length);

const group = fc.record({
  name: optional(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9-]{0,30}[A-Za-z0-9]$/)),
  location: optional(fc.constantFrom("eastus2", "East US 2", "westeurope")),
  tags: optional(tags),
});
const resourceIn = (type: string) => (name: string) => `/subscriptions/s1/resourceGroups/rg/providers/${type}/${name}`;
const name = fc.stringMatching(/^[a-z]{1,8}$/);
const identities = fc
  .uniqueArray(name, { minLength: 1, maxLength: 3 })
  .map((all) => all.map(resourceIn("Microsoft.ManagedIdentity/userAssignedIdentities")));
/** What only Azure's groups can have. */
const groupOnAzure = fc.record({
  identity: optional(
    fc.oneof(
      fc.constant({ type: "SystemAssigned" }),
      fc.record({
        type: fc.constantFrom("UserAssigned", "SystemAssigned, UserAssigned"),
        userAssignedIdentities: identities,
      }),
    ),
  ),
  environmentId: optional(name.map(resourceIn("Microsoft.App/managedEnvironments"))),
  assignDataOwner: optional(fc.boolean()),
});
const subnetId = name.map(resourceIn("Microsoft.Network/virtualNetworks/office/subnets"));
const image = {
  image: fc.constantFrom("python:3.12", "docker.io/library/debian:latest", `ghcr.io/a/b@sha256:${"0".repeat(64)}`),
  credentials: optional(fc.record({ username: fc.string({ minLength: 1 }), password: fc.string({ minLength: 1 }) })),
  labels: optional(labels),
};
const box = fc.record({
  cpu: optional(fc.constantFrom<string | number>("500m", "0.5", 1, "2", 4)),
  memory: optional(fc.constantFrom("512Mi", "1Gi", "1.5Gi", "2048Mi")),
  disk: optional(fc.constantFrom("1Gi", "5120Mi", "10Gi")),
  env: optional(env),
  entrypoint: optional(argv),
  cmd: optional(argv),
  labels: optional(labels),
  lifecycle: optional(anyLifecycle),
  volumes: optional(
    fc
      .uniqueArray(
        fc.record({
          volume: fc.constantFrom("one", "Two", "three"),
          mountpoint: fc
            .stringMatching(/^\/[a-z]{1,8}(\/{1,2}data\/?)?$/)
            .filter((path) => !/^\/(proc|sys|dev|etc)/.test(path)),
          readOnly: optional(fc.boolean()),
        }),
        { selector: ({ mountpoint }) => mountpoint.split("/")[1], maxLength: 3 },
      )
      .filter((all) => new Set(all.map(({ volume }) => volume)).size === all.length),
  ),
});
const copy = fc.record({ labels: optional(labels), lifecycle: optional(anyLifecycle) });
const disk = fc.record({
  name: optional(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,30}[A-Za-z0-9]$/)),
  type: fc.constant("DataDisk"),
  size: fc.constantFrom("1Gi", "1024Mi", "1.5Gi", "200Gi"),
  labels: optional(labels),
});
const words = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}[a-z]$/);
const packages = fc.uniqueArray(
  fc.record({
    contentPackageId: words,
    targetPath: words.map((each) => `/${each}`),
    action: optional(fc.constantFrom("Download", "Mount")),
  }),
  { selector: ({ targetPath }) => targetPath, maxLength: 2 },
);
const artifactVersion = fc.record({ id: words, identity: words });
const container = fc.record({
  command: optional(argv),
  args: optional(argv),
  env: optional(env),
  resources: optional(
    fc.record({ cpu: optional(fc.constantFrom<string | number>("0.5", 1)), memory: fc.constant("1Gi") }),
  ),
  volumeMounts: optional(fc.constant([{ name: "data", mountPath: "/data" }])),
  contentPackageDownloads: optional(packages),
  securityContext: optional(fc.record({ runAsUser: optional(fc.nat()), privileged: optional(fc.boolean()) })),
  readinessProbe: optional(fc.record({ tcpSocket: fc.constant({ port: 80 }), periodSeconds: optional(fc.nat(60)) })),
});
const pod = fc.record({
  containers: fc
    .array(
      fc.oneof(
        fc.tuple(container, fc.constant({ image: "python" })),
        fc.tuple(container, fc.record({ artifactVersion })),
      ),
      {
        minLength: 1,
        maxLength: 3,
      },
    )
    .map((all) => all.map(([rest, source], index) => ({ name: `c${index}`, ...rest, ...source }))),
  volumes: optional(
    fc.constantFrom(
      [{ kind: "Local", name: "data", size: "1Gi" }],
      [{ kind: "AzureBlob", name: "data", fileCacheSizeLimit: "512Mi" }],
      [],
    ),
  ),
  restartPolicy: optional(fc.constantFrom("Always", "OnFailure", "Never")),
});
/** What only Azure's sandboxes can be made from, and be tied to. */
const sandboxOnAzure = fc
  .tuple(
    fc.oneof(
      fc.record({ preset: fc.constant("Claude"), anthropicApiKey: optional(words), env: optional(env) }),
      fc.record({
        preset: fc.constant("GitHubCopilot"),
        presetProperties: optional(fc.record({ isWorkIqConnectionEnabled: optional(fc.boolean()) })),
      }),
      fc.record({ artifactVersion, cpu: optional(fc.constantFrom("500m", 2)) }),
      fc.record({ pod }),
      fc.record({ image: fc.constant("python") }),
    ),
    fc.record({
      agentIdentity: optional(fc.record({ tenantId: words, agentId: words })),
      connections: optional(fc.uniqueArray(words, { maxLength: 3 })),
      gatewayConnections: optional(
        fc
          .uniqueArray(name, { maxLength: 2 })
          .map((all) => all.map(resourceIn("Microsoft.Web/connectorGateways/gw/connections"))),
      ),
      credentialRefs: optional(fc.uniqueArray(words, { maxLength: 2 })),
      contentPackageDownloads: optional(packages),
      telemetryConfig: optional(
        fc.record({
          endpoints: fc.constant([
            {
              ...{ kind: "ApplicationInsights", data: ["Metrics"] },
              auth: { secretId: "telemetry", secretKey: "connection" },
            },
          ]),
          metricsIntervalSeconds: optional(fc.integer({ min: 2, max: 60 })),
        }),
      ),
      projectId: optional(words),
    }),
  )
  .map(([source, services]) => ({ ...source, ...services }));
/** What only Azure's volumes can be. */
const volumeOnAzure = fc.oneof(
  fc.record({ type: fc.constantFrom("AzureFileCifs", "AzureFileNfs"), labels: optional(labels) }),
  fc.record({ type: fc.constant("Esan"), size: fc.constantFrom("1Gi", "200Gi"), labels: optional(labels) }),
  fc.record({
    type: fc.constant("AzureBlobByo"),
    storageContainerResourceId: name.map(resourceIn("Microsoft.Storage/storageAccounts")),
    identity: fc.oneof(fc.constant("system"), name.map(resourceIn("Microsoft.ManagedIdentity/userAssignedIdentities"))),
    labels: optional(labels),
  }),
);
const folder = fc.record({ type: fc.constant("AzureBlob"), labels: optional(labels) });

const places: [string, boolean, () => Promise<Place>][] = [
  ["a host", false, () => new ResourceHost().start()],
  ["Azure, 2026-02-01-preview", false, () => ResourceAzure.start("2026-02-01-preview", { buildPolls: 0 })],
  ["Azure, 2026-09-01-preview", true, () => ResourceAzure.start("2026-09-01-preview", { buildPolls: 0 })],
];

describe.each(places)(
  "on %s whatever is declared goes in, is read back, and diffs to nothing:",
  (placeName, isNewer, open) => {
    const isHost = placeName === "a host";
    let place: Place;
    let session: Session;
    let home: Existing;
    let first: Existing;
    let saved: Existing;

    beforeAll(async () => {
      place = await open();
      session = place.session();
      home = await place.group(session);
      first = await place.sandbox(session, home);
      const names = ["one", "Two", "three"];
      for (const name of names) await make(volume, session, { group: home.id, name, type: "AzureBlob" });
      saved = await make(snapshot, session, { group: home.id, sandbox: first.id });
    });
    afterAll(() => place.close());

    const onAzure: [Resource, () => PropertyBag, fc.Arbitrary<PropertyBag>][] = isHost
      ? []
      : [
          [sandboxGroup, () => ({ __logicalName: "any" }), groupOnAzure],
          [vnetConnection, () => ({ group: home.id, __logicalName: "any" }), fc.record({ subnetId })],
          [volume, () => ({ group: home.id, __logicalName: "any" }), volumeOnAzure],
          [sandbox, () => ({ group: home.id }), sandboxOnAzure],
        ];
    const cases: [Resource, () => PropertyBag, fc.Arbitrary<PropertyBag>][] = [
      [sandboxGroup, () => ({ __logicalName: "any" }), group],
      // The newer data plane has no word for an image's program.
      [
        diskImage,
        () => ({ group: home.id }),
        isNewer ? fc.record(image) : fc.record({ ...image, entrypoint: optional(argv), cmd: optional(argv) }),
      ],
      [sandbox, () => ({ group: home.id, image: "python" }), box],
      [sandbox, () => ({ group: home.id, snapshot: saved.id }), copy],
      [snapshot, () => ({ group: home.id, sandbox: first.id }), fc.record({ labels: optional(labels) })],
      [volume, () => ({ group: home.id, __logicalName: "any" }), disk],
      [diskImage, () => ({ group: home.id, sandbox: first.id }), fc.record({ labels: optional(labels) })],
      [volume, () => ({ group: home.id, __logicalName: "any" }), folder],
      ...onAzure,
    ];

    it.each(cases)(
      "$token",
      async (resource, common, anything) => {
        const run = async (news: PropertyBag) => {
          const given = { __key: keyOf("any"), ...common(), ...news };
          const made = await make(resource, session, given);
          const found = await resource.read(session, made.id, made.state);
          expect(found?.state).toEqual(made.state);
          const again = inputsOf(resource, session, given);
          expect(resource.diff(session, made.id, found?.state ?? {}, again).changes).toEqual([]);
          // Also another process, which knows only the state, finds nothing to do.
          const fresh = place.session();
          expect(resource.diff(fresh, made.id, made.state, inputsOf(resource, fresh, given)).changes).toEqual([]);
          await resource.delete(session, made.id, made.state);
          expect(await resource.read(session, made.id, made.state)).toBeUndefined();
        };
        await fc.assert(fc.asyncProperty(anything, run), { numRuns: 25 });
      },
      120_000,
    );

    it("a group's tags after any updates are those of the last", async () => {
      const run = async (all: Record<string, string>[]) => {
        const made = await make(sandboxGroup, session, {
          __key: keyOf("tagged"),
          __logicalName: "tagged",
          tags: all[0],
        });
        let { state } = made;
        for (const each of all.slice(1)) {
          state = await sandboxGroup.update(session, made.id, state, inputsOf(sandboxGroup, session, { tags: each }));
        }
        const found = await sandboxGroup.read(session, made.id, state);
        expect(found?.inputs.tags).toEqual(all.at(-1));
        await sandboxGroup.delete(session, made.id, state);
      };
      await fc.assert(fc.asyncProperty(fc.array(tags, { minLength: 1, maxLength: 4 }), run), { numRuns: 15 });
    }, 120_000);
  },
);
