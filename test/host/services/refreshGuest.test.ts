import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { refreshGuest } from "../../../provider/host/services/startSandbox";
import type { GuestAgent, GuestIdentity } from "../../../provider/host/vm/guestAgent";

const id = "11111111-2222-3333-4444-555555555555";

// The test's own clock: a guest is as slow as it says, however busy this machine is.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Takes so long for each refresh, the last time for all that follow. */
async function refreshed(...delays: number[]): Promise<GuestIdentity[]> {
  const seen: GuestIdentity[] = [];
  const agent = {
    refresh: async (identity: GuestIdentity) => {
      vi.advanceTimersByTime(delays[Math.min(seen.length, delays.length - 1)]!);
      seen.push(identity);
    },
  } as unknown as GuestAgent;
  await refreshGuest(id, { agent });
  return seen;
}

test("a guest that answers at once is refreshed once, by names that follow from its id", async () => {
  const [identity, ...more] = await refreshed(0);
  expect(more).toEqual([]);
  expect(identity).toMatchObject({ hostname: "11111111", machineId: "11111111222233334444555555555555" });
  expect(identity?.entropy.length).toBeGreaterThanOrEqual(32);
});

test("a guest that is slow is told the time again, and given up on after some times", async () => {
  const twice = await refreshed(60, 0);
  expect(twice).toHaveLength(2);
  expect(twice[1]!.clockMs - twice[0]!.clockMs).toBe(60);
  expect(twice[1]!.entropy).not.toEqual(twice[0]!.entropy);
  expect(await refreshed(30)).toHaveLength(5);
});
