import { once } from "node:events";
import { connect as connectSocket, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { isSandboxesError } from "../../../provider/client/errors";
import { resolveConnection } from "../../../provider/client/resolveConnection";
import { SandboxApi } from "../../../provider/client/sandboxApi";
import type { VmDriver } from "../../../provider/host/vm/driver";
import { connect, type Group, type Sandbox } from "../../../provider/runtime";
import type { RunningHost } from "../fakes/runningHost";
import { garbageProgram } from "../vm/garbageProgram";
import { callsUnderWay } from "./callsUnderWay";

export interface LostGuestTarget {
  host: RunningHost;
  driver: VmDriver;
  /** Why a guest cannot be hostile here without harm to this machine. */
  obstacle?: string;
  close: () => Promise<void>;
}

/** What callers hear, and what becomes of a sandbox, when its guest or the way to it is lost while it is used. */
export function lostGuestScenarios(name: string, open: () => Promise<LostGuestTarget>): void {
  describe(`a lost guest of ${name}`, () => {
    let target: LostGuestTarget;
    let group: Group;
    let api: SandboxApi;
    let sandbox: Sandbox;
    let wire: Wire;

    beforeAll(async () => {
      target = await open();
      wire = await openWire(join(target.host.dataDir, "wire.sock"), target.host.socket);
      const endpoint = `unix:${wire.path}`;
      group = await connect({ endpoint });
      api = new SandboxApi(await resolveConnection({ endpoint }));
    });
    afterAll(async () => {
      await api.close();
      await group.close();
      wire.close();
      await target.close();
    });

    beforeEach(async () => {
      sandbox = await group.createSandbox({ image: "ubuntu" });
    });
    afterEach(async () => {
      await sandbox.delete();
      expect(await target.driver.listVms()).toEqual([]);
    });

    /** What is recorded of the sandbox once it has failed. */
    async function failure(): Promise<string> {
      await expect.poll(async () => (await sandbox.refresh()).state).toBe("Failed");
      const path = `${group.id.replace("/providers/Microsoft.App", "")}/sandboxes/${sandbox.id}`;
      return JSON.stringify((await target.host.call("GET", path)).body);
    }

    async function expectAllTold(outcomes: Record<string, unknown>): Promise<void> {
      for (const [call, outcome] of Object.entries(outcomes)) {
        expect(isSandboxesError(outcome), `${call}: ${outcome}`).toBe(true);
        expect(["GuestFailed", "NotRunning", "HostUnavailable"], call).toContain((outcome as { code: string }).code);
      }
      expect(Object.keys(outcomes)).toHaveLength(5);
    }

    it("that sends garbage is ended, its sandbox has failed with the reason, and every caller is told", async ({
      skip,
    }) => {
      skip(target.obstacle !== undefined, target.obstacle);
      await sandbox.files.write("/tmp/garbage", garbageProgram(), { mode: 0o755 });
      const outcomes = await callsUnderWay(sandbox, api);
      // Again: it may meet a channel that is full, or a frame that swallows it.
      const sendForEver = async (): Promise<never> => {
        for (;;) await sandbox.exec(["/tmp/garbage"]);
      };
      await expect(sendForEver()).rejects.toMatchObject({ name: "SandboxesError" });
      expect(await failure()).toContain("broke the protocol");
      await expectAllTold(await outcomes());
      await expect(sandbox.exec("true")).rejects.toMatchObject({ code: "NotRunning" });
      await expect(sandbox.files.read("/tmp/large")).rejects.toMatchObject({ code: "NotRunning" });
    });

    it("whose machine is killed has failed, and every caller is told", async () => {
      const outcomes = await callsUnderWay(sandbox, api);
      const vm = await target.driver.adopt(sandbox.id);
      process.kill(vm!.pid, "SIGKILL");
      expect(await failure()).toContain("its virtual machine ended");
      await expectAllTold(await outcomes());
    });

    it("and a lost host are told alike, while the sandbox itself goes on", async () => {
      const outcomes = await callsUnderWay(sandbox, api);
      wire.cut();
      await expectAllTold(await outcomes());
      expect((await sandbox.exec("echo here")).stdout).toBe("here\n");
      expect((await sandbox.refresh()).state).toBe("Running");
      // Programs end with their callers, and a file that was not written whole is none.
      const left = "ps | grep 'slee[p] 98765'; ls -A /tmp | grep -v large";
      await expect.poll(async () => (await sandbox.exec(left)).stdout).toBe("begun\n");
    });
  });
}

interface Wire {
  path: string;
  /** As the end of the host's process: every connection breaks, new ones are fine. */
  cut(): void;
  close(): void;
}

/** A socket that passes on to another. */
async function openWire(path: string, to: string): Promise<Wire> {
  const open = new Set<Socket>();
  const cut = () => {
    for (const socket of open) socket.destroy();
  };
  const server = createServer((caller) => {
    const host = connectSocket(to);
    for (const socket of [caller, host]) {
      open.add(socket);
      socket.on("error", () => undefined);
      socket.once("close", () => {
        open.delete(socket);
        caller.destroy();
        host.destroy();
      });
    }
    caller.pipe(host);
    host.pipe(caller);
  });
  server.listen(path);
  await once(server, "listening");
  return {
    path,
    cut,
    close: () => {
      cut();
      server.close();
    },
  };
}
