import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { armPath, groupPath, newer, RunningHost } from "../fakes/runningHost";

const subnetId = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v/subnets/sandboxes";

describe("what exists on Azure only", () => {
  const host = new RunningHost();
  beforeAll(async () => {
    await (await host.start()).withGroup();
  });
  afterAll(() => host.close());

  test("VNet connections: none are listed, and a new one is refused with the reason", async () => {
    const vnets = `${armPath}/g1/vnetConnections`;
    expect((await host.call("GET", vnets)).body).toEqual({ value: [] });
    const put = await host.call("PUT", `${vnets}/main`, { location: "local", properties: { subnetId } });
    expect([put.status, put.body]).toEqual([
      501,
      {
        error: {
          code: "NotSupported",
          message: expect.stringContaining("one machine"),
          target: "properties.subnetId",
          hint: expect.any(String),
        },
      },
    ]);
    expect((await host.call("GET", `${vnets}/main`)).status).toBe(404);
    expect((await host.call("DELETE", `${vnets}/main`)).status).toBe(204);
    expect((await host.call("PUT", `${vnets}/main`, { properties: {} })).status).toBe(400);
    const elsewhere = await host.call("PUT", `${armPath}/none/vnetConnections/main`, { properties: { subnetId } });
    expect(elsewhere.status).toBe(404);
  });

  test.each(["connections", "credentials", "contentpackages"])(
    "%s: none are listed, new ones are refused",
    async (name) => {
      expect((await host.call("GET", `${groupPath}/${name}`)).body).toEqual([]);
      expect((await host.call("GET", `${groupPath}/${name}`, undefined, { version: newer })).body).toEqual({
        value: [],
      });
      expect((await host.call("GET", `${groupPath}/${name}/one`)).status).toBe(404);
      expect((await host.call("DELETE", `${groupPath}/${name}/one`)).status).toBe(204);
      for (const [method, path] of [
        ["POST", name],
        ["PUT", `${name}/one`],
        ["POST", `${name}/one/refresh`],
      ] as const) {
        const reply = await host.call(method, `${groupPath}/${path}`, {});
        expect([reply.status, reply.body.error.code]).toEqual([501, "NotSupported"]);
      }
    },
  );

  test.each([
    ["presetSandboxType", "Claude"],
    ["anthropicApiKey", "a-key"],
    ["presetProperties", { isWorkIqConnectionEnabled: true }],
    ["agentIdentity", { tenantId: "t", agentId: "a" }],
    ["projectId", "one"],
    ["connections", ["one"]],
    ["gatewayConnections", [{ resourceId: "/x" }]],
    ["credentialRefs", ["one"]],
    ["contentPackageDownloads", [{ contentPackageId: "x", targetPath: "/x" }]],
    ["vnetConnectionName", "main"],
    ["customerVnetConnectionName", "main"],
    ["identitySettings", [{ identity: "system" }]],
    ["telemetryConfig", { endpoints: [] }],
    ["skipEgressProxy", true],
    ["vmmType", "cloudhypervisor"],
  ])("a sandbox with %s is refused, and the field is named", async (field, value) => {
    const sourcesRef = { diskImage: { name: "ubuntu", isPublic: true } };
    const reply = await host.call("PUT", `${groupPath}/sandboxes`, { sourcesRef, [field]: value });
    expect([reply.status, reply.body.error]).toMatchObject([501, { code: "NotSupported", target: field }]);
  });

  test.each([
    ["pod", { containers: [] }],
    ["artifactVersion", { id: "one", auth: { identity: "system" } }],
  ])("a sandbox of sourcesRef.%s is refused", async (kind, source) => {
    const reply = await host.call("PUT", `${groupPath}/sandboxes`, { sourcesRef: { [kind]: source } });
    expect([reply.status, reply.body.error.target]).toEqual([501, `sourcesRef.${kind}`]);
  });

  test("what clients send without meaning anything is let pass", async () => {
    await host.sandbox({
      connections: [],
      presetSandboxType: "None",
      telemetryConfig: null,
      skipEgressProxy: false,
      vmmType: "",
    });
  });

  test("a group's identity and environment are refused on create and on change; the identity None is none", async () => {
    const identity = { type: "SystemAssigned" };
    const properties = { environmentId: "/subscriptions/s1/x" };
    for (const change of [{ identity }, { properties }]) {
      const put = await host.call("PUT", `${armPath}/g2`, { location: "local", ...change });
      expect([put.status, put.body.error.code]).toEqual([501, "NotSupported"]);
      expect((await host.call("PATCH", `${armPath}/g1`, change)).status).toBe(501);
    }
    expect((await host.call("GET", `${armPath}/g2`)).status).toBe(404);
    expect((await host.call("PATCH", `${armPath}/g1`, { identity: { type: "None" } })).status).toBe(200);
  });

  test.each([
    ["older", { image: { base: "a" }, managedIdentityResourceId: "/x" }],
    ["older", { image: { base: "a" }, dockerfileContent: "FROM a" }],
    ["newer", { source: { kind: "blob", blobSourceUri: "https://x" } }],
    [
      "newer",
      { source: { kind: "registry", imageUrl: "a", authentication: { identity: { type: "SystemAssigned" } } } },
    ],
  ])("an image that needs Azure is refused (%s)", async (version, body) => {
    const method = version === "newer" ? "POST" : "PUT";
    const options = version === "newer" ? { version: newer } : {};
    expect((await host.call(method, `${groupPath}/diskimages`, body, options)).status).toBe(501);
  });
});
