import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { scrub } from "../../provider/client/secrets";
import type { PropertyBag } from "../../provider/pulumi/propertyBag";
import { Session } from "../../provider/pulumi/session";
import { unknownValue } from "../../provider/pulumi/unknowns";
import { sandbox } from "../../provider/resources/sandbox";
import { ResourceAzure } from "./resourceAzure";
import { type Existing, inputsOf, keyOf, make } from "./resourceHost";

const versions = ["2026-02-01-preview", "2026-09-01-preview"];
const apiKey = "sk-ant-a-secret-key";
const gateway = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.Web/connectorGateways/gw/connections/mail";

const pod = {
  containers: [
    {
      name: "web",
      image: "python",
      command: ["python3"],
      args: ["-m", "http.server"],
      env: { TOKEN: "a-secret-of-the-pod" },
      resources: { cpu: 0.5, memory: "1Gi" },
      volumeMounts: [{ name: "scratch", mountPath: "/scratch" }],
      securityContext: { runAsUser: 1000, capabilities: { drop: ["ALL"] } },
      livenessProbe: { httpGet: { port: 8000, path: "/" }, periodSeconds: 5 },
    },
    { name: "side", artifactVersion: { id: "tools-1", identity: "system" } },
  ],
  volumes: [
    { kind: "Local", name: "scratch", size: "1Gi" },
    { kind: "AzureBlob", name: "shared", fileCacheSizeLimit: "512Mi", readOnly: true },
  ],
  securityContext: { fsGroup: 2000 },
};

/** Every one of them replaces, and is refused by a host of one's own; that is told by the page about parity. */
const services: PropertyBag = {
  agentIdentity: { tenantId: "t1", agentId: "a1" },
  connections: ["two", "one"],
  gatewayConnections: [gateway],
  credentialRefs: ["copilot"],
  contentPackageDownloads: [{ contentPackageId: "p1", targetPath: "/opt/p1", action: "Mount" }],
  telemetryConfig: {
    endpoints: [
      {
        ...{ kind: "OTLP", endpoint: "https://otlp.test/v1", protocol: "Http", data: ["Metrics"] },
        auth: { headerName: "x-api-key", secretId: "telemetry", secretKey: "key" },
        columns: { where: { kind: "Ref", refName: "Region" } },
      },
      {
        ...{ kind: "LogAnalytics", dceEndpoint: "https://dce.test", dcrImmutableId: "d1", tableName: "t" },
        ...{ auth: { kind: "SystemAssignedManagedIdentity" }, data: ["ContainerStdoutStderr"] },
      },
    ],
    metricsIntervalSeconds: 30,
  },
  projectId: "apollo",
};

const sources: [string, PropertyBag, PropertyBag][] = [
  [
    "the preset Claude",
    { preset: "Claude", anthropicApiKey: apiKey },
    { presetSandboxType: "Claude", anthropicApiKey: apiKey },
  ],
  [
    "the preset GitHubCopilot",
    { preset: "GitHubCopilot", presetProperties: { isWorkIqConnectionEnabled: true }, cpu: "2000m", memory: "4Gi" },
    {
      presetSandboxType: "GitHubCopilot",
      presetProperties: { isWorkIqConnectionEnabled: true },
      resources: { cpu: "2000m", memory: "4096Mi" },
    },
  ],
  [
    "an artifact",
    { artifactVersion: { id: "app-7", identity: "/subscriptions/s1/identity" } },
    { sourcesRef: { artifactVersion: { id: "app-7", auth: { identity: "/subscriptions/s1/identity" } } } },
  ],
  [
    "a pod",
    { pod },
    {
      sourcesRef: {
        pod: {
          volumes: [
            { kind: "Local", name: "scratch", size: "1024Mi" },
            { kind: "AzureBlob", name: "shared", fileCacheSizeLimit: "512Mi", readOnly: true },
          ],
          containers: [
            {
              name: "web",
              diskImage: { name: "python", isPublic: true },
              resources: { cpu: "500m", memory: "1024Mi" },
            },
            { name: "side", artifactVersion: { id: "tools-1", auth: { identity: "system" } } },
          ],
        },
      },
    },
  ],
  [
    "an image, with all that ties it to other services",
    { image: "python", ...services },
    { connections: ["two", "one"] },
  ],
];

describe.each(versions)("on Azure, data plane %s, a sandbox", (apiVersion) => {
  let provider: ResourceAzure;
  let session: Session;
  let group: Existing;

  beforeEach(async () => {
    provider = await ResourceAzure.start(apiVersion);
    session = provider.session();
    group = await provider.group(session);
  });
  afterEach(() => provider.close());

  const method = apiVersion === versions[0] ? "PUT" : "POST";
  const stored = () => [...[...provider.double.control.groups.values()][0]!.sandboxes.values()][0]!;
  const checked = (news: PropertyBag, by = session) => inputsOf(sandbox, by, { group: group.id, ...news });
  const create = (news: PropertyBag) => make(sandbox, session, { __key: keyOf("box"), group: group.id, ...news });
  const sent = () => JSON.parse(String(provider.double.sent(method, /\/sandboxes$/).at(-1)?.body));
  const failuresOf = (news: PropertyBag) =>
    sandbox.check(session, {}, { group: group.id, ...news }).failures.map(({ property }) => property);

  it.each(sources)("of %s is asked for in Azure's words, and unchanged after a refresh", async (_name, news, asked) => {
    const made = await create(news);
    expect(sent()).toMatchObject(asked);
    // How large the machine is that Azure has prepared, Azure says.
    expect("resources" in sent()).toBe(news.image !== undefined || news.cpu !== undefined);
    const found = await sandbox.read(provider.session(), made.id, made.state);
    expect(found?.state).toEqual(made.state);
    expect(sandbox.diff(session, made.id, found?.state ?? {}, checked(news)).changes).toEqual([]);
  });

  it("of an image of the group in a pod is found by any spelling of it", async () => {
    const image = await provider.image(session, group);
    const made = await create({ pod: { containers: [{ name: "main", image: image.id }] } });
    const found = await sandbox.read(provider.session(), made.id, made.state);
    expect(found?.state).toEqual(made.state);
    const other = checked({ pod: { containers: [{ name: "main", image: "python" }] } });
    expect(sandbox.diff(session, made.id, made.state, other)).toMatchObject({ replaces: ["pod"] });
  });

  it("is replaced when what ties it to other services changes", async () => {
    const made = await create({ image: "python", ...services });
    for (const name of Object.keys(services)) {
      const { [name]: _left, ...rest } = services;
      const difference = sandbox.diff(session, made.id, made.state, checked({ image: "python", ...rest }));
      expect(difference.replaces).toEqual([name]);
    }
  });

  it("shows what somebody else connected, whatever the order it is told in", async () => {
    const made = await create({ image: "python", ...services });
    Object.assign(stored().more, { connections: ["one", "two"] });
    expect((await sandbox.read(session, made.id, made.state))?.state).toEqual(made.state);
    Object.assign(stored().more, { connections: ["one", "two", "three"], credentialRefs: [] });
    const found = await sandbox.read(session, made.id, made.state);
    expect(found?.inputs).toMatchObject({ connections: ["two", "one", "three"], credentialRefs: [] });
  });

  it("of a preset keeps its key out of errors", async () => {
    const echo = { status: 400, json: { error: { code: "InvalidRequest", message: `the key ${apiKey} is invalid` } } };
    provider.double.faults.add({ path: /\/sandboxes$/, method, kind: { answer: echo } });
    const error = await create({ preset: "Claude", anthropicApiKey: apiKey }).catch((reason) => reason);
    expect(scrub(error.message)).toContain("the key [secret] is invalid");
  });

  it("has no label that a secret could be guessed from", async () => {
    for (const news of [{ preset: "Claude", anthropicApiKey: apiKey }, { pod }]) {
      const { id, state } = await create(news);
      expect(stored().labels).toEqual({ "pulumi-key": keyOf("box") });
      await sandbox.delete(session, id, state);
    }
  });

  it.each<[string, PropertyBag, string[]]>([
    ["no source", {}, ["image"]],
    ["two sources", { image: "python", preset: "Claude" }, ["preset"]],
    ["a key without its preset", { image: "python", anthropicApiKey: apiKey }, [""]],
    ["a key of another preset", { preset: "GitHubCopilot", anthropicApiKey: apiKey }, [""]],
    ["properties of another preset", { preset: "Claude", presetProperties: {} }, ["presetProperties"]],
    ["a container of nothing", { pod: { containers: [{ name: "main" }] } }, ["pod.containers[0].image"]],
    [
      "a container's odd name",
      { pod: { containers: [{ name: "Main_1", image: "python" }] } },
      ["pod.containers[0].name"],
    ],
    ["a container's secret that is no text", { pod: { containers: [{ name: "a", image: "b", env: { A: 1 } }] } }, [""]],
    ["a connection twice", { image: "python", connections: ["a", "a"] }, ["connections"]],
    ["telemetry to nowhere", { image: "python", telemetryConfig: { endpoints: [] } }, ["telemetryConfig.endpoints"]],
    ["a preset that is not known yet", { preset: unknownValue, anthropicApiKey: unknownValue }, []],
  ])("with %s is refused by name", (_name, news, properties) => {
    expect(failuresOf(news)).toEqual(properties);
  });
});

describe("a host of one's own", () => {
  it("refuses a secret that it cannot honour without showing it", () => {
    const group =
      "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/r/providers/Microsoft.App/sandboxGroups/g";
    const session = new Session(() => Promise.reject(new Error("unused")));
    const { failures } = sandbox.check(session, {}, { group, preset: "Claude", anthropicApiKey: apiKey });
    expect(failures).toContainEqual({
      property: "",
      reason: expect.stringMatching(/^anthropicApiKey: not on target microvm: /),
    });
    expect(JSON.stringify(failures)).not.toContain(apiKey);
  });
});
