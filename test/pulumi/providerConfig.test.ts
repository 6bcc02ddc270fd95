import { describe, expect, it } from "vitest";
import { readProviderConfig } from "../../provider/pulumi/providerConfig";

describe("the provider's configuration", () => {
  it("is read by full keys, and an empty text is none", () => {
    const values: Record<string, string> = { "sandboxes:endpoint": "https://host:1", "sandboxes:token": "" };
    expect(readProviderConfig((key) => values[key])).toEqual({ target: "microvm", endpoint: "https://host:1" });
  });

  it("refuses a target that it does not know, and says what to write", () => {
    const read = () => readProviderConfig((key) => (key === "sandboxes:target" ? "docker" : undefined));
    expect(read).toThrow(expect.objectContaining({ code: "Invalid", hint: expect.stringContaining("microvm") }));
  });
});
