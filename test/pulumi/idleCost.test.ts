import { describe, expect, it } from "vitest";
import { idleCostText } from "../../provider/pulumi/idleCost";

const never = { autoSuspendPolicy: { enabled: false } };

describe("what is said of the costs of idle sandboxes", () => {
  it("is nothing where there are none", () => {
    expect(idleCostText([])).toBeUndefined();
  });

  it("names those that are never suspended, with their sum, and counts the others", () => {
    const text = idleCostText([
      { name: "one", isCopy: false },
      { name: "two", lifecycle: never, isCopy: false },
      {
        name: "three",
        cpu: 2,
        memory: "4Gi",
        lifecycle: { autoSuspendPolicy: { enabled: true, mode: "None" } },
        isCopy: false,
      },
      { name: "four", lifecycle: { autoDeletePolicy: { enabled: false } }, isCopy: true },
    ]);
    // (1 + 2 vCPU) × 62.21 USD + (2 + 4 GiB) × 7.78 USD a month.
    expect(text).toContain("two, three: never suspended, about 233 USD a month;");
    expect(text).toContain("2 are suspended when idle, for storage only");
  });

  it("does not know the size of copies of snapshots", () => {
    const text = idleCostText([{ name: "copy", lifecycle: never, isCopy: true }]);
    expect(text).toContain("copy: never suspended, by the size of what they are made from");
  });
});
