import { describe, expect, it } from "vitest";
import { readProviderConfig } from "../../provider/pulumi/providerConfig";

describe("the provider's configuration", () => {
  it("is read by full keys, and an empty text is none", () => {
    const values: Record<string, string> = { "sandboxes:endpoint": "https://host:1", "sandboxes:token": "" };
    expect(readProviderConfig((key) => values[key], {})).toEqual({
      target: "microvm",
      endpoint: "https://host:1",
      apiVersion: "2026-02-01-preview",
      azure: {},
    });
  });

  it("takes Azure's settings from our names, azure-native's, and the environment, in that order", () => {
    const values: Record<string, string> = {
      "sandboxes:target": "azure",
      "sandboxes:clientId": "ours",
      "azure-native:clientId": "native",
      "azure-native:tenantId": "native",
      "azure-native:location": "eastus2",
    };
    const environment = { ARM_TENANT_ID: "env", ARM_SUBSCRIPTION_ID: "arm", AZURE_SUBSCRIPTION_ID: "azure" };
    const { azure, location } = readProviderConfig((key) => values[key], environment);
    expect(azure).toEqual({ clientId: "ours", tenantId: "native", subscriptionId: "arm" });
    expect(location).toBe("eastus2");
  });

  it("refuses a target that it does not know, and says what to write", () => {
    const read = () => readProviderConfig((key) => (key === "sandboxes:target" ? "docker" : undefined));
    expect(read).toThrow(expect.objectContaining({ code: "Invalid", hint: expect.stringContaining("microvm") }));
    const version = () => readProviderConfig((key) => (key === "sandboxes:apiVersion" ? "2020-01-01" : undefined));
    expect(version).toThrow(expect.objectContaining({ field: "sandboxes:apiVersion" }));
  });
});
