import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { anyCreateDiskImageContent, diskImagePage, publicImagePage } from "../../../provider/client/wire/diskImages";
import { groupView } from "../../../provider/client/wire/groups";
import { formatLabelSelector, labels, matchesLabels, parseLabelSelector } from "../../../provider/client/wire/labels";
import { cpuMillis, cpuQuantity, sizeMiB, sizeQuantity } from "../../../provider/client/wire/quantities";
import { createSandboxContent, sandboxView } from "../../../provider/client/wire/sandboxes";

describe("quantities", () => {
  it.each([
    ["0.5", "500m"],
    ["500m", "500m"],
    ["2", "2000m"],
    [0.25, "250m"],
    ["1.5", "1500m"],
  ])("reads %s processors as %s", (given, normal) => expect(cpuQuantity.parse(given)).toBe(normal));

  it.each([
    ["2Gi", "2048Mi"],
    ["512Mi", "512Mi"],
    ["1.5Gi", "1536Mi"],
    ["524288Ki", "512Mi"],
    ["512M", "489Mi"],
    ["1073741824", "1024Mi"],
  ])("reads the size %s as %s", (given, normal) => expect(sizeQuantity.parse(given)).toBe(normal));

  it.each(["", "0", "-1", "abc", "1x", "500mm", "1e3", "0.0001"])("refuses %j processors", (given) => {
    expect(cpuQuantity.safeParse(given).error?.issues[0]?.message).toContain(`"${given}" is no processor quantity`);
  });

  it.each(["", "0Mi", "-5Gi", "2GB", "1 Gi Gi", "Mi"])("refuses the size %j", (given) => {
    expect(sizeQuantity.safeParse(given).error?.issues[0]?.message).toContain(`"${given}" is no size; write "512Mi"`);
  });

  it("normalises to itself", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), (n) => {
        expect(cpuQuantity.parse(`${n}m`)).toBe(`${n}m`);
        expect(sizeQuantity.parse(`${n}Mi`)).toBe(`${n}Mi`);
        expect(cpuMillis(`${n}m`)).toBe(n);
        expect(sizeMiB(`${n}Gi`)).toBe(n * 1024);
      }),
    );
  });

  it("says which field is wrong", () => {
    const issue = createSandboxContent.safeParse({ resources: { cpu: "1", memory: "2GB" } }).error?.issues[0];
    expect(issue?.path.join(".")).toBe("resources.memory");
  });
});

describe("labels", () => {
  const text = fc.string({ maxLength: 20 }).filter((value) => !/[,=]/.test(value) && value !== "__proto__");

  it("come back from the query as they went in", () => {
    fc.assert(
      fc.property(fc.dictionary(text.filter(Boolean), text), (all) => {
        const selector = formatLabelSelector(all);
        expect(selector === undefined ? all : parseLabelSelector(selector)).toEqual({ ...all });
      }),
    );
  });

  it("keep equals signs in a value, and cannot be asked for with a comma", () => {
    expect(parseLabelSelector("k=a=b,l=")).toEqual({ k: "a=b", l: "" });
    expect(formatLabelSelector({ k: "a,b" })).toBeUndefined();
  });

  it("match only when all pairs do", () => {
    expect(matchesLabels({ a: "1", b: "2" }, { a: "1" })).toBe(true);
    expect(matchesLabels({ a: "1" }, { a: "1", b: "2" })).toBe(false);
    expect(matchesLabels({}, { toString: "x" })).toBe(false);
  });

  it("hold at most 63 characters, said in Azure's words", () => {
    const issue = labels.safeParse({ key: "x".repeat(64) }).error?.issues[0];
    expect(issue?.message).toBe("Label value for key 'key' exceeds 63 characters");
    expect(labels.safeParse({ "a.b/C": "x".repeat(63), empty: "" }).success).toBe(true);
  });
});

describe("views", () => {
  it("read lists from both data planes alike", () => {
    const image = { id: "a", status: { state: "Ready" } };
    expect(diskImagePage.parse([image]).value).toHaveLength(1);
    expect(diskImagePage.parse({ value: [image], nextLink: "https://h/next" }).nextLink).toBe("https://h/next");
    expect(diskImagePage.parse({ value: [], nextLink: null }).nextLink).toBeUndefined();
    expect(diskImagePage.safeParse({ items: [] }).error?.issues[0]?.path).toEqual(["value"]);
    expect(publicImagePage.parse([{ name: "python" }]).value[0]?.name).toBe("python");
  });

  it("read absent and null maps as empty, and keep unknown keys", () => {
    expect(sandboxView.parse({ id: "a", state: "Running", vmmType: "x" })).toEqual({
      id: "a",
      state: "Running",
      labels: {},
      vmmType: "x",
    });
    expect(groupView.parse({ id: "i", name: "g", location: "l", tags: null })).toMatchObject({
      tags: {},
      properties: {},
    });
  });

  it("read the newer body of a disk image as the older one", () => {
    const older = { image: { base: "python:3.12" }, name: "py", registryCredentials: { username: "u", token: "t" } };
    const newer = {
      name: "py",
      source: {
        kind: "registry",
        imageUrl: "python:3.12",
        authentication: { registryCredentials: { username: "u", token: "t" } },
      },
    };
    expect(anyCreateDiskImageContent.parse(newer)).toMatchObject(anyCreateDiskImageContent.parse(older));
  });
});
