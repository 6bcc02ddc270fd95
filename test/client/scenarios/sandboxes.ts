import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GroupApi, SandboxApi } from "../../../provider/client/sandboxApi";
import { type ClientTarget, noId, type OpenTarget, small, sorted } from "./target";

/** What sandboxes, their programs and files promise. */
export function sandboxScenarios(open: OpenTarget): void {
  let target: ClientTarget;
  let api: SandboxApi;
  let lab: GroupApi;
  /** One that all scenarios may use. */
  let box: string;
  beforeAll(async () => {
    target = await open();
    ({ api } = target);
    await api.groups.put("lab", { location: target.location });
    lab = api.group("lab");
    box = (await lab.sandboxes.create({ ...small, environment: { FROM_SANDBOX: "1" } })).id;
  });
  afterAll(async () => {
    await api?.groups.delete("lab");
    await api?.close();
    await target?.close();
  });
  const made = async (more: object = {}) => (await lab.sandboxes.create({ ...small, ...more })).id;
  const run = (command: string, more: object = {}) => lab.sandboxes.execShell(box, { command, ...more });
  const base64 = (text: string) => Buffer.from(text).toString("base64");

  describe("sandboxes", () => {
    it("are created of a public image, and tell what they are", async () => {
      const view = await lab.sandboxes.create({
        ...small,
        labels: { "pulumi-key": "k" },
        environment: { SECRET: "hunter2" },
      });
      expect(view).toMatchObject({ state: "Running", labels: { "pulumi-key": "k" }, resources: small.resources });
      const read = await lab.sandboxes.get(view.id);
      expect(read).toMatchObject({ id: view.id, state: "Running", resources: small.resources });
      expect(read.sourcesRef?.diskImage).toMatchObject({ name: "ubuntu", isPublic: true });
      expect(Date.parse(read.createdAt ?? "")).not.toBeNaN();
      expect(JSON.stringify([view, read])).not.toContain("hunter2");
      await lab.sandboxes.delete(view.id);
    });

    it("are listed completely, many as they are", async () => {
      const many = await Promise.all(Array.from({ length: 104 }, (_, i) => made({ labels: { many: String(i % 2) } })));
      const ids = async (labels?: Record<string, string>) => (await lab.sandboxes.list({ labels })).map(({ id }) => id);
      expect(sorted(await ids())).toEqual(sorted([box, ...many]));
      expect(sorted(await ids({ many: "0" }))).toEqual(sorted(many.filter((_id, index) => index % 2 === 0)));
      await Promise.all(many.map((id) => lab.sandboxes.delete(id)));
      expect(await ids()).toEqual([box]);
    });

    it("are found by all labels asked for", async () => {
      const one = await made({ labels: { a: "1", b: "x=y" } });
      const two = await made({ labels: { a: "1", "odd,key": "v" } });
      const found = async (labels: Record<string, string>) =>
        sorted((await lab.sandboxes.list({ labels })).map(({ id }) => id));
      expect(await found({ a: "1" })).toEqual(sorted([one, two]));
      expect(await found({ a: "1", b: "x=y" })).toEqual([one]);
      expect(await found({ "odd,key": "v" })).toEqual([two]);
      expect(await found({ a: "2" })).toEqual([]);
      for (const id of [one, two]) await lab.sandboxes.delete(id);
    });

    it("that are gone are not found, and deleted without complaint", async () => {
      const id = await made();
      await lab.sandboxes.delete(id);
      await lab.sandboxes.delete(id);
      const gone = { code: "SandboxNotFound", status: 404 };
      for (const each of [id, noId]) {
        await expect(lab.sandboxes.get(each)).rejects.toMatchObject(gone);
        await expect(lab.sandboxes.exec(each, { command: "true" })).rejects.toMatchObject(gone);
        await expect(lab.files.readAll(each, "/tmp/x")).rejects.toMatchObject(gone);
        await expect(lab.sandboxes.stop(each)).rejects.toMatchObject(gone);
        await expect(lab.sandboxes.ports(each).list()).rejects.toMatchObject(gone);
        await expect(lab.snapshots.create(each)).rejects.toMatchObject(gone);
      }
    });

    it("of what is not there, or makes no sense, are refused", async () => {
      const create = (more: object) => lab.sandboxes.create({ ...small, ...more });
      const imageMissing = { code: "ImageNotFound" };
      const named = { diskImage: { name: "no-such-image", isPublic: true } };
      await expect(create({ sourcesRef: named })).rejects.toMatchObject(imageMissing);
      await expect(create({ sourcesRef: { diskImage: { id: noId } } })).rejects.toMatchObject(imageMissing);
      const copy = { sourcesRef: { snapshot: { id: noId } } };
      const snapshotMissing = { code: "NotFound", status: 400, serviceCode: "SnapshotNotFound" };
      await expect(lab.sandboxes.create(copy)).rejects.toMatchObject(snapshotMissing);
      await expect(create({ sourcesRef: {} })).rejects.toMatchObject({ code: "Invalid", status: 400 });
      const wrong = { code: "Invalid", status: 400 };
      await expect(create({ labels: { a: "x".repeat(64) } })).rejects.toMatchObject(wrong);
      await expect(create({ resources: { cpu: "much", memory: "1Gi" } })).rejects.toMatchObject(wrong);
      await expect(create({ ports: [{ port: 80 }] })).rejects.toMatchObject(wrong);
      await expect(lab.sandboxes.get("no-guid")).rejects.toMatchObject({ name: "SandboxesError" });
      expect((await lab.sandboxes.list()).map(({ id }) => id)).toEqual([box]);
    });

    it("stop and go on where they were", async () => {
      const id = await made();
      await lab.files.write(id, "/tmp/kept", Buffer.from("kept"));
      await expect(lab.sandboxes.resume(id)).rejects.toMatchObject({ code: "InvalidState", status: 409 });
      expect((await lab.sandboxes.stop(id)).stateDetails).toMatchObject({ stoppedReason: "UserStopped" });
      const stopped = { code: "NotRunning", status: 409 };
      await expect(lab.sandboxes.stop(id)).rejects.toMatchObject(stopped);
      await expect(lab.sandboxes.exec(id, { command: "true" })).rejects.toMatchObject(stopped);
      await expect(lab.files.list(id, "/tmp")).rejects.toMatchObject(stopped);
      await expect(lab.sandboxes.stats(id)).rejects.toMatchObject(stopped);
      await expect(lab.snapshots.create(id)).rejects.toMatchObject(stopped);
      expect((await lab.sandboxes.list()).map((each) => each.id)).toContain(id);
      const woken = await lab.sandboxes.exec(id, { command: "echo", args: ["up"], activationMode: "OnDemand" });
      expect(woken.stdout).toBe("up\n");
      await lab.sandboxes.stop(id);
      expect((await lab.sandboxes.resume(id)).state).toBe("Running");
      expect(String(await lab.files.readAll(id, "/tmp/kept"))).toBe("kept");
      await lab.sandboxes.delete(id);
    });

    it("keep the half of their lifecycle that is not changed", async () => {
      const autoSuspendPolicy = { enabled: true, interval: 600, mode: "Memory" };
      const id = await made({ lifecycle: { autoSuspendPolicy } });
      expect((await lab.sandboxes.get(id)).lifecycle).toMatchObject({ autoSuspendPolicy });
      const autoDeletePolicy = { enabled: true, deleteIntervalInSeconds: 86_400 };
      const changed = await lab.sandboxes.setLifecycle(id, { autoDeletePolicy });
      expect(changed.lifecycle).toMatchObject({ autoSuspendPolicy, autoDeletePolicy });
      const off = { ...autoSuspendPolicy, enabled: false };
      expect((await lab.sandboxes.setLifecycle(id, { autoSuspendPolicy: off })).lifecycle).toMatchObject({
        autoSuspendPolicy: { enabled: false },
        autoDeletePolicy,
      });
      await lab.sandboxes.delete(id);
    });

    it("open ports, each once, and close them", async () => {
      const id = await made({ ports: [{ port: 8080, auth: { anonymous: true } }] });
      const ports = lab.sandboxes.ports(id);
      expect(await ports.list()).toMatchObject([{ port: 8080, url: expect.stringMatching(/^https?:/) }]);
      const more = { port: 9090, name: "more", auth: { anonymous: true } };
      expect((await ports.add(more)).map(({ port }) => port)).toEqual([8080, 9090]);
      await expect(ports.add(more)).rejects.toMatchObject({ code: "Conflict", status: 409 });
      await expect(ports.add({ ...more, port: 0 })).rejects.toMatchObject({ code: "Invalid", status: 400 });
      await expect(ports.add({ port: 80 })).rejects.toMatchObject({ code: "Invalid", status: 400 });
      await ports.remove(8080);
      await ports.remove(8080);
      expect(await ports.list()).toMatchObject([{ port: 9090, name: "more", auth: { anonymous: true } }]);
      expect((await lab.sandboxes.get(id)).ports).toMatchObject([{ port: 9090 }]);
      await lab.sandboxes.delete(id);
    });
  });

  describe("snapshots", () => {
    it("outlive their sandbox, and sandboxes are made of them", async () => {
      const id = await made({ environment: { KEPT: "yes" } });
      await lab.files.write(id, "/tmp/kept", Buffer.from("kept"));
      const { id: snapshot } = await lab.snapshots.create(id, { labels: { name: "one" } });
      await lab.files.write(id, "/tmp/kept", Buffer.from("changed"));
      const other = await lab.snapshots.create(id, { labels: { name: "two" } });
      await lab.sandboxes.delete(id);
      expect(await lab.snapshots.get(snapshot)).toMatchObject({ sandboxId: id, labels: { name: "one" } });
      expect(sorted((await lab.snapshots.list()).map((each) => each.id))).toEqual(sorted([snapshot, other.id]));
      expect((await lab.snapshots.list({ labels: { name: "one" } })).map((each) => each.id)).toEqual([snapshot]);
      const sourcesRef = { snapshot: { id: snapshot } };
      const copy = await lab.sandboxes.create({ sourcesRef, labels: { copy: "1" } });
      expect(copy).toMatchObject({ state: "Running", labels: { copy: "1" }, resources: small.resources, sourcesRef });
      expect(String(await lab.files.readAll(copy.id, "/tmp/kept"))).toBe("kept");
      expect((await lab.sandboxes.execShell(copy.id, { command: 'echo "$KEPT"' })).stdout).toBe("yes\n");
      for (const each of [snapshot, snapshot, other.id]) await lab.snapshots.delete(each);
      await expect(lab.snapshots.get(snapshot)).rejects.toMatchObject({ code: "NotFound", status: 404 });
      expect(await lab.snapshots.list()).toEqual([]);
      expect((await lab.sandboxes.get(copy.id)).state).toBe("Running");
      await lab.sandboxes.delete(copy.id);
    });
  });

  describe("programs", () => {
    it("tell output, errors and exit code", async () => {
      const args = ["-c", "echo out; echo err >&2; exit 7"];
      const result = await lab.sandboxes.exec(box, { command: "sh", args });
      expect(result).toMatchObject({ exitCode: 7, stdout: "out\n", stderr: "err\n", timedOut: false });
      expect(await run("exit 3")).toMatchObject({ exitCode: 3, stdout: "", stderr: "" });
    });

    it("get their arguments untouched, and lines of shell what the shell makes of them", async () => {
      const odd = ["", "a b", "$HOME", "'\"\\", "*", "ü€😀", "\n"];
      const { stdout } = await lab.sandboxes.exec(box, { command: "printf", args: ["[%s]", ...odd] });
      expect(stdout).toBe(odd.map((word) => `[${word}]`).join(""));
      expect((await run("printf '%s' \"$((40 + 2))\"")).stdout).toBe("42");
      expect((await run("echo $0", { shell: "/bin/bash" })).stdout).toBe("/bin/bash\n");
    });

    it("have the sandbox's environment and their own, and start where they are told", async () => {
      const { stdout } = await run('echo "$FROM_SANDBOX $MINE"; pwd', {
        environment: { MINE: "2" },
        workingDirectory: "/tmp",
      });
      expect(stdout).toBe("1 2\n/tmp\n");
    });

    it("read their input, or an empty one", async () => {
      expect((await lab.sandboxes.exec(box, { command: "cat", stdin: base64("one ü\n") })).stdout).toBe("one ü\n");
      expect((await lab.sandboxes.exec(box, { command: "cat" })).stdout).toBe("");
    });

    it("end when their time is over, and not before", async () => {
      const late = await lab.sandboxes.exec(box, {
        command: "sh",
        args: ["-c", "echo a; sleep 600"],
        timeoutMs: 3_000,
      });
      expect(late).toMatchObject({ timedOut: true, signal: "SIGKILL", stdout: "a\n" });
      expect(await run("echo a", { timeoutMs: 60_000 })).toMatchObject({ timedOut: false, exitCode: 0, stdout: "a\n" });
    });

    it("lose what is more than the output asked for", async () => {
      const cut = await run("printf 12345; printf 123 >&2", { maxOutputBytes: 3 });
      expect(cut).toMatchObject({ stdout: "123", stderr: "123", truncated: true });
      expect(await run("printf 123", { maxOutputBytes: 3 })).toMatchObject({ stdout: "123", truncated: false });
    });
  });

  describe("files", () => {
    it("come back as they were written", async () => {
      const bytes = Buffer.from(Array.from({ length: 1000 }, (_value, index) => index % 256));
      expect(await lab.files.write(box, "/tmp/deep/er/bytes", bytes)).toBe(1000);
      expect((await lab.files.readAll(box, "/tmp/deep/er/bytes")).equals(bytes)).toBe(true);
      await lab.files.write(box, "/tmp/deep/er/bytes", Buffer.from("42"), { mode: 0o600 });
      expect(String(await lab.files.readAll(box, "/tmp/deep/er/bytes"))).toBe("42");
      await lab.files.write(box, "/tmp/deep/empty", Buffer.alloc(0));
      expect((await lab.files.stat(box, "/tmp/deep/empty")).size).toBe(0);
      const orphan = lab.files.write(box, "/tmp/none/x", Buffer.from("x"), { createDirs: false });
      await expect(orphan).rejects.toMatchObject({ code: "FileNotFound", status: 404 });
    });

    it("are listed, looked at and removed, trees only when asked to", async () => {
      await lab.files.mkdir(box, "/tmp/list/a b+ü%20");
      await lab.files.mkdir(box, "/tmp/list/a b+ü%20");
      await lab.files.write(box, "/tmp/list/.hidden", Buffer.from("12345"), { mode: 0o750 });
      const entries = await lab.files.list(box, "/tmp/list");
      const seen = entries.map(({ name, path, isDir }) => [name, path, isDir]);
      expect(seen.sort()).toEqual([
        [".hidden", "/tmp/list/.hidden", false],
        ["a b+ü%20", "/tmp/list/a b+ü%20", true],
      ]);
      expect(await lab.files.stat(box, "/tmp/list/.hidden")).toMatchObject({ size: 5, mode: "0750", isDir: false });
      expect((await lab.files.stat(box, "/tmp/list")).isDir).toBe(true);
      await expect(lab.files.remove(box, "/tmp/list")).rejects.toMatchObject({ code: "FileConflict", status: 409 });
      await lab.files.remove(box, "/tmp/list/.hidden");
      await lab.files.remove(box, "/tmp/list", { recursive: true });
      for (const call of ["readAll", "list", "stat", "remove"] as const) {
        await expect(lab.files[call](box, "/tmp/list")).rejects.toMatchObject({ code: "FileNotFound", status: 404 });
      }
    });
  });
}
