import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { refreshGuest } from "../../../../provider/host/services/startSandbox";
import type { Vm } from "../../../../provider/host/vm/driver";
import { run, shell } from "../guestCommands";
import { bytesOf, type RealGuest } from "./realGuest";

/** What copies of one machine do not have in common, and the clock of each. */
export function describeClones(guest: () => RealGuest): void {
  const identity = async ({ agent }: Vm) => {
    const facts = {
      hostname: await run(agent, ["hostname"]),
      "its file": await run(agent, ["cat", "/etc/hostname"]),
      "machine id": await run(agent, ["cat", "/etc/machine-id"]),
      "boot id": await run(agent, ["cat", "/proc/sys/kernel/random/boot_id"]),
      "a UUID of the kernel's": await run(agent, ["cat", "/proc/sys/kernel/random/uuid"]),
      "random bytes": await shell(agent, "head -c 32 /dev/urandom | sha256sum"),
      "random numbers of a new program": await shell(
        agent,
        "awk 'BEGIN { srand(); print rand() }' /dev/null; mktemp -u",
      ),
    };
    return Object.entries(facts).map(([name, { stdout }]) => [name, stdout.trim()] as const);
  };

  it("clones of one template, and of one saved machine, have nothing in common that is to be one's own", async () => {
    const { driver, template, dataDirectory } = guest();
    const first = await driver.clone(template, { vmId: "clone-1" });
    const second = await driver.clone(template, { vmId: "clone-2" });
    const ids = [randomUUID(), randomUUID(), randomUUID(), randomUUID()] as const;
    await refreshGuest(ids[0], first);
    await refreshGuest(ids[1], second);
    // What runs when it is saved runs in each copy.
    const saved = `${dataDirectory}/copy-${randomBytes(4).toString("hex")}`;
    await driver.save("clone-1", saved);
    const third = await driver.restore(saved, { vmId: "clone-3" });
    const fourth = await driver.restore(saved, { vmId: "clone-4" });
    await refreshGuest(ids[2], third);
    await refreshGuest(ids[3], fourth);

    const seen = await Promise.all([first, second, third, fourth].map(identity));
    for (const facts of seen[0]!.keys()) {
      const values = seen.map((each) => each[facts]![1]);
      expect(values).not.toContain("");
      expect(new Set(values).size, seen[0]![facts]![0]).toBe(4);
    }
    expect(seen.map((each) => each[2]![1])).toEqual(ids.map((id) => id.replaceAll("-", "")));
    for (const vm of [first, second, third, fourth]) await vm.destroy();
  });

  describe("the clock of a guest", () => {
    /** How far it is behind the host's, ms: known as well as the quickest question so far was quick, at last by 50 ms. */
    async function lag({ agent }: Vm): Promise<{ least: number; most: number }> {
      const found = { least: Number.NEGATIVE_INFINITY, most: Number.POSITIVE_INFINITY };
      for (let question = 0; question < 20 || found.most - found.least > 50; question++) {
        const asked = Date.now();
        await agent.writeFile("/dev/shm/now", bytesOf("x"));
        const answered = Date.now();
        const { modifiedMs } = await agent.stat("/dev/shm/now");
        found.least = Math.max(found.least, asked - modifiedMs);
        found.most = Math.min(found.most, answered - modifiedMs);
      }
      return found;
    }

    /** What it is told is late by what its answer took: on a busy machine that may be more than the 50 ms. */
    async function expectOnTime(vm: Vm): Promise<void> {
      let tookMs = 0;
      const refresh = async (...told: Parameters<Vm["agent"]["refresh"]>) => {
        const asked = performance.now();
        await vm.agent.refresh(...told);
        tookMs = performance.now() - asked;
      };
      await refreshGuest(randomUUID(), { agent: { ...vm.agent, refresh } });
      const { least, most } = await lag(vm);
      expect(least).toBeLessThanOrEqual(Math.max(50, tookMs));
      expect(most).toBeGreaterThanOrEqual(-50);
    }

    it("is the host's within 50 ms when it is handed out, after a pause and after sleeping on disk", async () => {
      const { driver, template } = guest();
      const id = "on-time";
      const vm = await driver.clone(template, { vmId: id, paused: true });
      await sleep(1500);
      await vm.resume();
      await expectOnTime(vm);
      await vm.pause();
      await sleep(1500);
      await vm.resume();
      await expectOnTime(vm);
      await driver.suspend(id);
      await sleep(1500);
      const again = await driver.wake(id);
      await expectOnTime(again);
      await again.destroy();
    });
  });
}
