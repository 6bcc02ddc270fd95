import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { SandboxApi } from "../../../provider/client/sandboxApi";
import { type ClientTarget, noId, type OpenTarget, small, sorted } from "./target";

/** What groups, and what is kept in them beside sandboxes, promise. */
export function groupScenarios(open: OpenTarget): void {
  let target: ClientTarget;
  let api: SandboxApi;
  let lab: ReturnType<SandboxApi["group"]>;
  beforeAll(async () => {
    target = await open();
    ({ api } = target);
    await api.groups.put("lab", { location: target.location });
    lab = api.group("lab");
  });
  afterAll(async () => {
    await api?.groups.delete("lab");
    await api?.close();
    await target?.close();
  });

  describe("groups", () => {
    it("are created, tagged anew, listed and deleted", async () => {
      const { location } = target;
      const made = await api.groups.put("tagged", { location, tags: { a: "1", b: "2" } });
      expect(made).toMatchObject({ name: "tagged", location, tags: { a: "1", b: "2" } });
      expect(made.properties.provisioningState).toBe("Succeeded");
      expect((await api.groups.patch("tagged", { tags: { c: "3" } })).tags).toEqual({ c: "3" });
      expect(await api.groups.get("tagged")).toMatchObject({ id: made.id, tags: { c: "3" } });
      expect((await api.groups.put("tagged", { location })).id).toBe(made.id);
      expect(sorted((await api.groups.list()).map(({ name }) => name))).toEqual(["lab", "tagged"]);
      await api.groups.delete("tagged");
      await api.groups.delete("tagged");
      await expect(api.groups.get("tagged")).rejects.toMatchObject({ code: "GroupNotFound", status: 404 });
      expect((await api.groups.list()).map(({ name }) => name)).toEqual(["lab"]);
    });

    it("go with all that is in them", async () => {
      const { location } = target;
      await api.groups.put("doomed", { location });
      const doomed = api.group("doomed");
      const { id } = await doomed.sandboxes.create(small);
      await doomed.snapshots.create(id);
      await doomed.diskImages.create({ image: { base: "docker.io/library/alpine:3.20" } });
      await doomed.volumes.put("shelf", { type: "AzureBlob" });
      await doomed.secrets.put("keys", { a: "b" });
      await doomed.egressPolicies.put("closed", { defaultAction: "Deny" });
      await api.groups.delete("doomed");
      await expect(doomed.sandboxes.list()).rejects.toMatchObject({ status: 404 });
      await api.groups.put("doomed", { location });
      const { sandboxes, snapshots, diskImages, volumes, secrets, egressPolicies } = doomed;
      for (const kind of [sandboxes, snapshots, diskImages, volumes, secrets, egressPolicies]) {
        expect(await kind.list()).toEqual([]);
      }
      await api.groups.delete("doomed");
    });

    it("that are not there have nothing in them either", async () => {
      const gone = { code: "GroupNotFound", status: 404 };
      await expect(api.group("none").sandboxes.list()).rejects.toMatchObject(gone);
      await expect(api.group("none").sandboxes.create(small)).rejects.toMatchObject(gone);
      await expect(api.groups.patch("none", { tags: {} })).rejects.toMatchObject(gone);
    });
  });

  describe("disk images", () => {
    it("are imported, listed, used and deleted", async () => {
      const base = "docker.io/library/alpine:3.20";
      const made = await lab.diskImages.create({ name: "mine", labels: { a: "1" }, image: { base } });
      expect(made).toMatchObject({ labels: { a: "1" }, image: { base } });
      const ready = await lab.diskImages.waitUntilReady(made.id);
      expect(ready).toMatchObject({ id: made.id, labels: { a: "1" }, image: { base } });
      expect((await lab.diskImages.list()).map(({ id }) => id)).toEqual([made.id]);
      const { id } = await lab.sandboxes.create({ ...small, sourcesRef: { diskImage: { id: made.id } } });
      expect((await lab.sandboxes.get(id)).sourcesRef?.diskImage).toMatchObject({ id: made.id });
      await lab.diskImages.delete(made.id);
      await lab.diskImages.delete(made.id);
      await expect(lab.diskImages.get(made.id)).rejects.toMatchObject({ status: 404 });
      expect(await lab.diskImages.list()).toEqual([]);
      expect((await lab.sandboxes.exec(id, { command: "echo", args: ["on"] })).stdout).toBe("on\n");
      await lab.sandboxes.delete(id);
    });

    it("that cannot be imported say so", async () => {
      const { id } = await lab.diskImages.create({ image: { base: "docker.io/library/missing:1" } });
      await expect(lab.diskImages.waitUntilReady(id)).rejects.toMatchObject({
        name: "SandboxesError",
        message: expect.stringContaining("docker.io/library/missing:1"),
      });
      expect((await lab.diskImages.get(id)).status.state).toBe("Failed");
      await expect(lab.sandboxes.create({ ...small, sourcesRef: { diskImage: { id } } })).rejects.toMatchObject({
        name: "SandboxesError",
      });
      await lab.diskImages.delete(id);
    });

    it("of everyone are listed by name", async () => {
      const names = (await lab.diskImages.listPublic()).map(({ name }) => name);
      expect(names).toEqual(expect.arrayContaining(["python", "ubuntu"]));
      expect(await lab.diskImages.list()).toEqual([]);
    });
  });

  describe("secrets", () => {
    it("are written, named and deleted, and never read", async () => {
      await lab.secrets.put("token-one", { user: "me", password: "hunter2" });
      await lab.secrets.put("token-two", { key: "hunter2" });
      expect(sorted(await lab.secrets.keys("token-one"))).toEqual(["password", "user"]);
      const all = await lab.secrets.list();
      expect(sorted(all.map(({ id }) => id))).toEqual(["token-one", "token-two"]);
      expect(JSON.stringify([all, await lab.secrets.find("token-one")])).not.toContain("hunter2");
      await lab.secrets.put("token-one", { other: "x" });
      expect(await lab.secrets.keys("token-one")).toEqual(["other"]);
      for (const id of ["token-one", "token-one", "token-two"]) await lab.secrets.delete(id);
      await expect(lab.secrets.keys("token-one")).rejects.toMatchObject({ code: "NotFound", status: 404 });
      expect(await lab.secrets.find("token-one")).toBeUndefined();
      expect(await lab.secrets.list()).toEqual([]);
    });

    it("whose ids are none are refused", async () => {
      await expect(lab.secrets.put("a_b", { x: "y" })).rejects.toMatchObject({ code: "Invalid", status: 400 });
    });
  });

  describe("egress policies", () => {
    it("are written, replaced, read, named by sandboxes and deleted", async () => {
      const hostRules = [{ pattern: "*.example.com", action: "Allow" as const }];
      const made = await lab.egressPolicies.put("web", { defaultAction: "Deny", hostRules, description: "some" });
      expect(made).toMatchObject({ id: "web", defaultAction: "Deny", hostRules });
      expect(await lab.egressPolicies.get("web")).toMatchObject({ defaultAction: "Deny", hostRules });
      await lab.egressPolicies.put("web", { defaultAction: "Allow" });
      const replaced = await lab.egressPolicies.get("web");
      expect([replaced.defaultAction, replaced.hostRules ?? []]).toEqual(["Allow", []]);
      expect((await lab.egressPolicies.list()).map(({ id }) => id)).toEqual(["web"]);
      const { id } = await lab.sandboxes.create({ ...small, egressPolicyId: "web" });
      expect((await lab.sandboxes.get(id)).egressPolicyId).toBe("web");
      await lab.sandboxes.setEgressPolicy(id, { defaultAction: "Deny" });
      const view = await lab.sandboxes.get(id);
      expect([view.egressPolicyId ?? undefined, view.egressPolicy?.defaultAction]).toEqual([undefined, "Deny"]);
      expect(await lab.sandboxes.egressDecisions(id)).toMatchObject({ allowed: [], denied: [] });
      const { id: another } = await lab.sandboxes.create({ ...small, egressPolicyId: "web" });
      // A policy that a sandbox names can be deleted; the sandbox stays.
      await lab.egressPolicies.delete("web");
      await lab.egressPolicies.delete("web");
      expect(await lab.sandboxes.get(another)).toMatchObject({ state: "Running" });
      for (const each of [id, another]) await lab.sandboxes.delete(each);
      await expect(lab.egressPolicies.get("web")).rejects.toMatchObject({ code: "NotFound", status: 404 });
      expect(await lab.egressPolicies.list()).toEqual([]);
    });

    it("that make no sense, or are not there, are refused", async () => {
      const odd = { defaultAction: "Perhaps" as "Allow" };
      await expect(lab.egressPolicies.put("odd", odd)).rejects.toMatchObject({ code: "Invalid", status: 400 });
      const named = lab.sandboxes.create({ ...small, egressPolicyId: "none" });
      await expect(named).rejects.toMatchObject({ name: "SandboxesError", status: expect.any(Number) });
      expect(await lab.sandboxes.list()).toEqual([]);
    });
  });

  describe("volumes", () => {
    const mount = { volumeName: "shelf", mountpoint: "/mnt/shelf" };

    it("are had by two sandboxes, and stay while one has them", async () => {
      const made = await lab.volumes.put("shelf", { type: "AzureBlob", labels: { a: "1" } });
      expect(made).toMatchObject({ volumeName: "shelf", type: "AzureBlob", labels: { a: "1" } });
      expect(await lab.volumes.put("shelf", { type: "AzureBlob", labels: { b: "2" } })).toMatchObject({
        labels: { b: "2" },
      });
      expect((await lab.volumes.list()).map(({ volumeName }) => volumeName)).toEqual(["shelf"]);
      const one = await lab.sandboxes.create({ ...small, volumes: [mount] });
      const two = await lab.sandboxes.create(small);
      await lab.sandboxes.addVolume(two.id, mount);
      for (const { id } of [one, two]) expect((await lab.sandboxes.get(id)).volumes).toMatchObject([mount]);
      const inUse = { code: "InUse", status: 409 };
      await lab.sandboxes.delete(one.id);
      await expect(lab.volumes.delete("shelf")).rejects.toMatchObject(inUse);
      await lab.sandboxes.delete(two.id);
      await lab.volumes.delete("shelf");
      await lab.volumes.delete("shelf");
      await expect(lab.volumes.get("shelf")).rejects.toMatchObject({ code: "NotFound", status: 404 });
      expect(await lab.volumes.list()).toEqual([]);
    });

    it("that are disks are one sandbox's at a time", async () => {
      await lab.volumes.put("disk", { type: "DataDisk", size: "1Gi" });
      await expect(lab.volumes.put("disk", { type: "AzureBlob" })).rejects.toMatchObject({ code: "Conflict" });
      const volumes = [{ volumeName: "disk", mountpoint: "/mnt/disk" }];
      const { id } = await lab.sandboxes.create({ ...small, volumes });
      expect(await lab.volumes.get("disk")).toMatchObject({ isAttached: true, attachedSandboxId: id });
      const second = lab.sandboxes.create({ ...small, volumes });
      await expect(second).rejects.toMatchObject({ code: "InUse", status: 409 });
      await lab.sandboxes.delete(id);
      expect((await lab.volumes.get("disk")).isAttached ?? false).toBe(false);
      await lab.volumes.delete("disk");
    });

    it("that make no sense, or are not there, are refused", async () => {
      await expect(lab.volumes.put("disk", { type: "DataDisk" })).rejects.toMatchObject({ code: "Invalid" });
      const missing = lab.sandboxes.create({ ...small, volumes: [mount] });
      await expect(missing).rejects.toMatchObject({ code: "NotFound", status: 404 });
      expect(await lab.sandboxes.list()).toEqual([]);
    });
  });

  describe("what is not there", () => {
    it("is not found, whatever it is", async () => {
      for (const ask of [
        () => lab.diskImages.get(noId),
        () => lab.snapshots.get(noId),
        () => lab.volumes.get("none"),
        () => lab.secrets.keys("none"),
        () => lab.egressPolicies.get("none"),
      ]) {
        await expect(ask()).rejects.toMatchObject({ code: "NotFound", status: 404 });
      }
    });
  });
}
