import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ImageStore } from "../../../provider/host/images/imageStore";
import type { VmDriver } from "../../../provider/host/vm/driver";
import { groupPath, RunningHost } from "../fakes/runningHost";

export interface VolumeMachines {
  createDriver(dataDirectory: string): Promise<VmDriver>;
  images?: () => Promise<ImageStore>;
  /** Why this machine cannot mount anything. */
  missing?: () => Promise<string | undefined>;
  /** It makes snapshots. */
  canSave?: boolean;
}

const volumes = `${groupPath}/volumes`;
const sandboxes = `${groupPath}/sandboxes`;
const mountpoint = "/mnt/data";

/** What a user sees of volumes, over whatever runs sandboxes. */
export function volumeScenarios(name: string, machines: VolumeMachines): void {
  describe(`volumes over ${name}`, () => {
    const host = new RunningHost();
    let driver: VmDriver;
    let missing: string | undefined;

    const start = async () => {
      driver = await machines.createDriver(host.dataDir);
      await host.start({ driver, ...(machines.images && { images: await machines.images() }) });
    };
    beforeAll(async () => {
      missing = await machines.missing?.();
      await start();
      await host.withGroup();
    });
    afterAll(async () => {
      await host.server.stop({ stopSandboxes: true });
      await host.close();
    });

    const it = (what: string, run: () => Promise<void>) =>
      test(what, async (context) => {
        if (missing) context.skip(missing);
        await run();
      });

    const make = async (volume: string, body: object) => {
      const reply = await host.call("PUT", `${volumes}/${volume}`, body);
      expect(reply.status, reply.text).toBe(201);
    };
    const sandboxWith = (volumeName: string, more: object = {}) =>
      host.sandbox({ resources: { cpu: "1000m", memory: "256Mi" }, volumes: [{ volumeName, mountpoint, ...more }] });
    const shell = async (id: string, command: string, workingDirectory?: string) => {
      const reply = await host.call("POST", `${sandboxes}/${id}/executeShellCommand`, { command, workingDirectory });
      expect(reply.status, reply.text).toBe(200);
      return reply.body as { exitCode: number; stdout: string; stderr: string };
    };
    const remove = async (...ids: string[]) => {
      for (const id of ids) expect((await host.call("DELETE", `${sandboxes}/${id}`)).status).toBe(200);
    };

    it("a shared volume is one directory for all sandboxes that have it", async () => {
      await make("shared", { type: "AzureBlob" });
      const [one, other] = [await sandboxWith("shared"), await sandboxWith("shared", { readOnly: true })];
      const wrote = await shell(one, "mkdir -p d && echo one > d/f && ln -s d/f link && chmod 600 d/f", mountpoint);
      expect(wrote).toMatchObject({ exitCode: 0, stderr: "" });
      expect(await shell(other, "cat link; stat -c '%a %s' d/f", mountpoint)).toMatchObject({ stdout: "one\n600 4\n" });
      await shell(one, "echo two >> d/f && mv d/f d/g", mountpoint);
      expect((await shell(other, "cat d/g; ls d", mountpoint)).stdout).toBe("one\ntwo\ng\n");
      const refused = await shell(other, "echo x > d/x; rm d/g", mountpoint);
      expect([refused.exitCode !== 0, refused.stderr]).toEqual([true, expect.stringMatching(/read-only/i)]);
      const view = (await host.call("GET", `${sandboxes}/${other}`)).body;
      expect(view.volumes).toEqual([{ volumeName: "shared", mountpoint, readOnly: true }]);
      await remove(one, other);
      const again = await sandboxWith("shared");
      expect((await shell(again, "cat d/g", mountpoint)).stdout).toBe("one\ntwo\n");
      await remove(again);
    });

    it("what a caller puts into a volume is seen by its sandboxes, and the other way round", async () => {
      await make("filled", { type: "AzureBlob" });
      const id = await sandboxWith("filled");
      const file = (path: string, action = "") => `${volumes}/filled/files${action}?path=${path}`;
      const put = (path: string, raw: string) => host.call("PUT", file(path, "/upload"), undefined, { raw });
      expect((await put("/in/f", "one")).status).toBe(201);
      expect((await shell(id, "cat in/f", mountpoint)).stdout).toBe("one");
      await shell(id, "cp in/f first; cp in/f second", mountpoint);
      expect((await put("/in/f", "two")).status).toBe(201);
      expect((await shell(id, "cat in/f; ln -s /etc/passwd link", mountpoint)).stdout).toBe("two");
      expect((await host.call("GET", file("/first", "/download"))).text).toBe("one");
      expect((await host.call("GET", file("/link", "/download"))).status).toBe(400);
      expect((await host.call("DELETE", file("/in"))).status).toBe(204);
      expect((await shell(id, "ls", mountpoint)).stdout).toBe("first\nlink\nsecond\n");
      await remove(id);
    });

    it("a disk that a sandbox has is only looked at", async () => {
      await make("held", { type: "DataDisk", size: "64Mi" });
      const upload = () => host.call("PUT", `${volumes}/held/files/upload?path=/f`, undefined, { raw: "by the host" });
      expect((await upload()).status).toBe(201);
      const id = await sandboxWith("held");
      expect((await shell(id, "cat f; echo by the guest >g; sync g", mountpoint)).stdout).toBe("by the host");
      const refused = [
        await upload(),
        await host.call("POST", `${volumes}/held/fork`, { destinationVolumeName: "copy" }),
      ];
      expect(refused.map(({ status, body }) => [status, body.error.code])).toEqual(Array(2).fill([409, "VolumeInUse"]));
      expect((await host.call("GET", `${volumes}/held/files/download?path=/g`)).text).toBe("by the guest\n");
      await remove(id);
      expect((await upload()).status).toBe(201);
    });

    it("files calls reach into a volume", async () => {
      await make("files", { type: "AzureBlob" });
      const id = await sandboxWith("files");
      const file = `${sandboxes}/${id}/files`;
      const content = Buffer.from("x".repeat(300_000));
      const headers = { "content-type": "application/octet-stream" };
      const put = await host.call("PUT", `${file}?path=${mountpoint}/a/b&createDirs=true`, undefined, {
        raw: content,
        headers,
      });
      expect(put.status, put.text).toBe(200);
      expect((await host.call("GET", `${file}?path=${mountpoint}/a/b`)).text).toBe(content.toString());
      const list = (await host.call("GET", `${file}/list?path=${mountpoint}/a`)).body;
      expect(list.entries).toMatchObject([{ name: "b", size: content.length }]);
      expect((await host.call("GET", `${file}?path=${mountpoint}/none`)).status).toBe(404);
      expect((await host.call("DELETE", `${file}?path=${mountpoint}/a&recursive=true`)).status).toBe(200);
      expect((await shell(id, `ls ${mountpoint}`)).stdout).toBe("");
      await remove(id);
    });

    it("a data disk is one sandbox's at a time, and keeps to its size", async () => {
      await make("disk", { type: "DataDisk", size: "8Mi" });
      const first = await sandboxWith("disk");
      const body = {
        sourcesRef: { diskImage: { name: "ubuntu", isPublic: true } },
        volumes: [{ volumeName: "disk", mountpoint }],
      };
      const second = await host.call("PUT", sandboxes, body);
      expect([second.status, second.body.error.code]).toEqual([409, "VolumeInUse"]);
      const deleted = await host.call("DELETE", `${volumes}/disk`);
      expect([deleted.status, deleted.body.error.code]).toEqual([409, "VolumeInUse"]);
      const view = (await host.call("GET", `${volumes}/disk`)).body;
      expect(view).toMatchObject({ size: "8Mi", isAttached: true, attachedSandboxId: first });

      const filled = await shell(first, "dd if=/dev/zero of=big bs=65536 count=1000", mountpoint);
      expect([filled.exitCode !== 0, filled.stderr]).toEqual([true, expect.stringMatching(/no space/i)]);
      expect(
        (await shell(first, "stat -c %s big; rm big; echo fits > f; df -k . | tail -n 1", mountpoint)).stdout,
      ).toMatch(/^8388608\n.* 8192 /);
      await remove(first);
      expect((await host.call("GET", `${volumes}/disk`)).body).toMatchObject({
        isAttached: false,
        usage: { used: "1Mi" },
      });
      const next = await sandboxWith("disk");
      expect((await shell(next, "cat f", mountpoint)).stdout).toBe("fits\n");
      await remove(next);
      expect((await host.call("DELETE", `${volumes}/disk`)).status).toBe(204);
      expect((await host.call("GET", `${volumes}/disk`)).status).toBe(404);
    });

    it("programs in the background write to it while nobody listens", async () => {
      await make("fed", { type: "AzureBlob" });
      const id = await sandboxWith("fed");
      const job = `${sandboxes}/${id}/backgroundProcesses/feeder`;
      const script = "for i in 1 2 3; do echo $i | tee -a all; sleep 0.1; done; cat all >&2";
      const started = { command: ["/bin/sh", "-c", script], workingDirectory: mountpoint };
      expect((await host.call("PUT", job, started)).body).toMatchObject({ id: "feeder", state: "Running" });
      expect((await host.call("PUT", job, started)).status).toBe(200);
      const ended = async () => (await host.call("GET", job)).body.state;
      await expect.poll(ended).toBe("Exited");
      const { body } = await host.call("GET", `${job}/output?from=0`);
      const said = (stream: string) =>
        (body.parts as { stream: string; data: string }[])
          .filter((part) => part.stream === stream)
          .map(({ data }) => Buffer.from(data, "base64").toString())
          .join("");
      expect([said("stdout"), said("stderr")]).toEqual(["1\n2\n3\n", "1\n2\n3\n"]);
      expect(body.process).toMatchObject({ exitCode: 0, outputEnd: 12 });
      const endless = `${sandboxes}/${id}/backgroundProcesses/endless`;
      const command = ["/bin/sh", "-c", "while :; do cat all; done"];
      await host.call("PUT", endless, { command, workingDirectory: mountpoint });
      expect((await host.call("DELETE", endless)).status).toBe(204);
      expect((await host.call("GET", endless)).status).toBe(404);
      await remove(id);
    });

    it("a running sandbox gets one more", async () => {
      await make("late", { type: "AzureBlob" });
      const id = await host.sandbox({ resources: { cpu: "1000m", memory: "256Mi" } });
      const add = (volumeMount: object) => host.call("POST", `${sandboxes}/${id}/volumes/add`, { volumeMount });
      expect((await add({ volumeName: "late", mountpoint })).status).toBe(204);
      expect((await shell(id, "echo late > f && cat f", mountpoint)).stdout).toBe("late\n");
      expect((await add({ volumeName: "late", mountpoint: "/elsewhere" })).status).toBe(400);
      expect((await add({ volumeName: "none", mountpoint: "/elsewhere" })).status).toBe(404);
      await remove(id);
    });

    it("programs go on over a restart of the host, and nothing is done twice", async () => {
      await make("kept", { type: "AzureBlob" });
      const id = await sandboxWith("kept");
      // Makes directories and files all the time, in the background, and counts what fails.
      const loop =
        "i=0; while [ ! -e stop ]; do i=$((i+1)); mkdir d$i && echo $i > d$i/f && mv d$i/f f$i && rmdir d$i || echo $i >> failed; done; echo $i > done";
      await shell(id, `cd ${mountpoint}; (${loop}) > /dev/null 2>&1 &`);
      for (let round = 0; round < 3; round++) {
        await host.disconnect();
        await host.server.stop();
        await start();
      }
      await shell(id, "touch stop; while [ ! -e done ]; do sleep 0.1; done", mountpoint);
      const { stdout } = await shell(id, "cat failed 2>&1; ls | grep -c '^f[0-9]'; cat done", mountpoint);
      const [failed, files, rounds] = stdout.trim().split("\n");
      expect(failed).toMatch(/no such file/i);
      expect(Number(files)).toBe(Number(rounds));
      expect(Number(rounds)).toBeGreaterThan(0);
      await remove(id);
    });

    it("a stopped sandbox finds its volume as others left it", async () => {
      await make("resumed", { type: "AzureBlob" });
      const [one, other] = [await sandboxWith("resumed"), await sandboxWith("resumed")];
      await shell(one, "echo before > f; exec 3< f; echo ready", mountpoint);
      expect((await host.call("POST", `${sandboxes}/${one}/stop`)).status).toBe(200);
      await shell(other, "echo after > f", mountpoint);
      expect((await host.call("POST", `${sandboxes}/${one}/resume`)).status).toBe(200);
      expect((await shell(one, "cat f", mountpoint)).stdout).toBe("after\n");
      await remove(one, other);
    });

    it("what is open stays readable when its name is gone, and its room comes back", async () => {
      await make("open", { type: "DataDisk", size: "4Mi" });
      const id = await sandboxWith("open");
      const script = "dd if=/dev/zero of=f bs=65536 count=48 2>/dev/null; exec 3< f; rm f; wc -c <&3; ls";
      expect((await shell(id, script, mountpoint)).stdout.trim()).toBe("3145728");
      const again =
        "for n in $(seq 300); do dd if=/dev/zero of=g bs=65536 count=48 2>/dev/null && exit 0; sleep 0.1; done; exit 1";
      expect((await shell(id, again, mountpoint)).exitCode).toBe(0);
      await remove(id);
    });

    const copyOf = (id: string, more: object = {}) =>
      host.call("PUT", sandboxes, { sourcesRef: { snapshot: { id } }, ...more });

    if (machines.canSave) {
      it("a copy of a sandbox shares its volume, with a use of its own", async () => {
        await make("copied", { type: "AzureBlob" });
        const id = await sandboxWith("copied");
        const loop =
          "i=0; while [ ! -e stop ]; do i=$((i+1)); sleep 0.05; done; echo > ended-$(cat /proc/sys/kernel/hostname)";
        await shell(id, `echo before > f; cd ${mountpoint}; (${loop}) > /dev/null 2>&1 &`, mountpoint);
        const snapshot = await host.call("POST", `${sandboxes}/${id}/snapshot`, {});
        expect(snapshot.status, snapshot.text).toBe(200);
        const refused = await copyOf(snapshot.body.id, { volumes: [{ volumeName: "copied", mountpoint }] });
        expect([refused.status, refused.text]).toEqual([400, expect.stringContaining("volumes")]);
        const copy = await copyOf(snapshot.body.id);
        expect(copy.status, copy.text).toBe(200);
        expect(copy.body.volumes).toEqual([{ volumeName: "copied", mountpoint, readOnly: false }]);
        await shell(copy.body.id, "cat f > g; echo copy >> f", mountpoint);
        expect((await shell(id, "cat f g", mountpoint)).stdout).toBe("before\ncopy\nbefore\n");
        const inUse = await host.call("DELETE", `${volumes}/copied`);
        expect([inUse.status, inUse.body.error.code]).toEqual([409, "VolumeInUse"]);
        // The program of the original, and the one that was copied in the midst of its work.
        await shell(id, "touch stop", mountpoint);
        const wait = "until [ $(ls | grep -c ended) = 2 ]; do sleep 0.1; done; ls | grep ended";
        const ended = [id, copy.body.id].map((sandbox) => `ended-${sandbox.slice(0, 8)}`);
        expect((await shell(id, wait, mountpoint)).stdout.trim().split("\n").sort()).toEqual(ended.sort());
        await remove(id, copy.body.id);

        expect((await host.call("DELETE", `${volumes}/copied`)).status).toBe(204);
        await make("copied", { type: "AzureBlob" });
        const gone = await copyOf(snapshot.body.id);
        expect([gone.status, gone.body.error.code]).toEqual([409, "VolumeNotFound"]);
      });

      it("a data disk is nothing that a snapshot could give to others", async () => {
        await make("single", { type: "DataDisk", size: "8Mi" });
        const id = await sandboxWith("single");
        const reply = await host.call("POST", `${sandboxes}/${id}/snapshot`, {});
        expect([reply.status, reply.text]).toEqual([501, expect.stringContaining('DataDisk \\"single\\"')]);
        expect((await host.call("GET", `${groupPath}/snapshots`)).body).not.toContainEqual(
          expect.objectContaining({ sandboxId: id }),
        );
        await remove(id);
      });
    }

    it("deleting the group deletes volumes and their files", async () => {
      const arm = "/subscriptions/s1/resourceGroups/local/providers/Microsoft.App/sandboxGroups/g1";
      expect((await host.call("DELETE", arm)).status).toBe(202);
      expect(readdirSync(join(host.dataDir, "volumes"))).toEqual([]);
      await host.withGroup();
      expect((await host.call("GET", volumes)).body).toEqual([]);
    });
  });
}
