import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { groupDataPath, groupsPath } from "../../provider/client/connection";
import { resolveConnection } from "../../provider/client/resolveConnection";

describe("resolveConnection", () => {
  it("takes options before the environment, and local names where none are given", async () => {
    const environment = { SANDBOXES_ENDPOINT: "unix:/env.sock", SANDBOXES_TOKEN: "t", SANDBOXES_GROUP: "env" };
    expect(await resolveConnection({ group: "mine" }, environment)).toEqual({
      endpoint: "unix:/env.sock",
      token: "t",
      ca: undefined,
      subscriptionId: "00000000-0000-0000-0000-000000000000",
      resourceGroupName: "local",
      group: "mine",
    });
    expect((await resolveConnection({ endpoint: "https://h:1/" }, environment)).endpoint).toBe("https://h:1");
  });

  it("reads the whole id of a group", async () => {
    const group = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.App/sandboxGroups/g";
    const connection = await resolveConnection({ endpoint: "unix:/a", group }, {});
    expect(connection).toMatchObject({ subscriptionId: "s", resourceGroupName: "rg", group: "g" });
    expect(groupsPath(connection)).toBe(group.slice(0, -2));
    expect(groupDataPath(connection, "g")).toBe("/subscriptions/s/resourceGroups/rg/sandboxGroups/g");
    await expect(resolveConnection({ endpoint: "unix:/a", group: "/subscriptions/s" }, {})).rejects.toMatchObject({
      code: "Invalid",
      field: "group",
    });
  });

  it("reads the certificate authority from a file", async () => {
    const directory = await mkdtemp(join(tmpdir(), "sandboxes-"));
    const file = join(directory, "ca.pem");
    await writeFile(file, "PEM");
    expect((await resolveConnection({ endpoint: "https://h" }, { SANDBOXES_CA_FILE: file })).ca).toBe("PEM");
    await rm(directory, { recursive: true });
    await expect(resolveConnection({ endpoint: "https://h" }, { SANDBOXES_CA_FILE: file })).rejects.toMatchObject({
      code: "Invalid",
      message: expect.stringContaining(file),
    });
  });

  it.each(["http://host", "unix:relative", "host:1", "ftp://x", "https://user:secret@host"])(
    "refuses the endpoint %s without repeating it",
    async (endpoint) => {
      const error = await resolveConnection({ endpoint }, {}).catch((reason) => reason);
      expect(error).toMatchObject({ code: "Invalid", field: "endpoint" });
      expect(error.message).not.toContain("secret");
    },
  );
});
