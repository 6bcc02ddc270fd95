import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Archives } from "./crash/archives";
import { auditLeftovers, controlGroups } from "./crash/audit";
import { auditRecords } from "./crash/auditRecords";
import { type Blow, CrashedHost } from "./crash/crashedHost";
import { sharedVolume } from "./crash/guestPrograms";
import { markVariable } from "./crash/hostProcesses";
import { Ledger } from "./crash/ledger";
import { SeededRandom } from "./crash/seededRandom";
import { groupName, Worker } from "./crash/workload";

/**
 * `SANDBOXES_CRASH_SEED=… SANDBOXES_CRASH_POINTS=50 npx vitest run test/host/crash.machine.test.ts` has a run again, as
 * far as a run depends on when and whom it kills; `SANDBOXES_CRASH_LOG=FILE` keeps the daemon's log.
 */
const seed = Number(process.env.SANDBOXES_CRASH_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** Fewer than the 50 of a whole run, which takes minutes: `make test` is run often. */
const points = Number(process.env.SANDBOXES_CRASH_POINTS ?? 15);
const pointsOfRound = 5;
const workers = 4;
/** From one blow to the next: some come together. */
const delayMs = { burst: 40, most: 1_600 };
const burstShare = 0.3;
/** Of the others so many wait until the host serves: on a slow machine it would only ever be met while it starts. */
const servingShare = 0.7;
/** A round begins with so many sandboxes, where the machine can make them in time. */
const sandboxesAtStart = 3;
const startWithinMs = 30_000;
const quietWithinMs = 300_000;
const wholeWithinMs = 45 * 60_000;

let folder: string;
let host: CrashedHost;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "crash-"));
  mkdirSync(join(folder, "tmp"));
  vi.stubEnv("TMPDIR", join(folder, "tmp"));
  vi.stubEnv("SANDBOXES_DRIVER", "qemu");
  vi.stubEnv(markVariable, folder);
  host = new CrashedHost(join(folder, "data"), folder);
});

afterEach(async () => {
  // For whoever looks for the reason of a failure.
  const keep = process.env.SANDBOXES_CRASH_LOG;
  if (keep) copyFileSync(join(host.dataDir, "host.log"), keep);
  await host.close();
  vi.unstubAllEnvs();
  await expect.poll(() => host.processes()).toEqual([]);
  expect([...controlGroups(host.dataDir)]).toEqual([]);
  rmSync(folder, { recursive: true });
});

test(
  `after kill -9 of anything at ${points} points nothing is lost and nothing is left (seed ${seed})`,
  async () => {
    process.stdout.write(`crash test: SANDBOXES_CRASH_SEED=${seed}\n`);
    const random = new SeededRandom(seed);
    const archives = new Archives(join(folder, "archives"), random.fork());
    const ledger = new Ledger();
    await host.keepUp();
    const api = host.connect();
    const group = api.group(groupName);
    await api.groups.put(groupName, { location: "local" });
    const base = `rootfs:${await archives.system()}`;
    ledger.sentSources.add(base);
    const { id: baseImage } = await group.diskImages.create({ image: { base } });
    ledger.images.set(baseImage, { id: baseImage, fate: "lives", isKept: true });
    await group.diskImages.waitUntilReady(baseImage);
    const rest = host.connectRest(groupName);
    ledger.volumes.set(sharedVolume, { id: sharedVolume, fate: "lives", isShared: true });
    await rest.putVolume(sharedVolume, { type: "AzureBlob" });

    const makeArchive = archives.other.bind(archives);
    const crew = Array.from({ length: workers }, (_, index) => {
      return new Worker({ name: `w${index}`, group, rest, ledger, random: random.fork(), baseImage, makeArchive });
    });
    const killer = random.fork();
    const blows: Blow[] = [];
    while (blows.length < points) {
      const pause = new AbortController();
      const working = Promise.all(crew.map((worker) => worker.run(pause.signal)));
      const before = blows.length;
      await within(startWithinMs, async () => ledger.living().length >= sandboxesAtStart);
      while (blows.length < Math.min(before + pointsOfRound, points)) {
        const isBurst = killer.next() < burstShare;
        const meetsServing = killer.next() < servingShare;
        if (!isBurst && meetsServing) await within(startWithinMs, async () => (await host.status()).running);
        await sleep(killer.between(0, isBurst ? delayMs.burst : delayMs.most));
        const blow = host.strike(killer);
        if (!blow) continue;
        blows.push(blow);
        const victim = ledger.sandboxes.get(blow.machine ?? "");
        // One that may be stopped by now was maybe on disk already.
        if (victim && ledger.lives(victim) && !victim.states.has("Stopped")) victim.isKilled = true;
      }
      await sleep(killer.between(0, 500));
      pause.abort();
      await working;

      await quiet();

      const findings = await auditRecords({ group, rest, ledger, killedMachines: host.killedMachines });

      const faults = faultsIn(join(host.dataDir, "host.log"));
      expect([...ledger.violations, ...host.complaints, ...faults, ...findings], story(blows, ledger)).toEqual([]);
      await expect
        .poll(() => auditLeftovers(host, group, join(folder, "tmp")), {
          timeout: 60_000,
          message: story(blows, ledger),
        })
        .toEqual([]);
    }
    await Promise.all([api.close(), rest.close()]);
    process.stdout.write(`${story(blows, ledger)}\n`);
  },
  wholeWithinMs,
);

/** Waits for a condition, or for the time to run out: what is not there then is not waited for any more. */
async function within(ms: number, isTrue: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + ms;
  while (Date.now() < deadline && !(await isTrue().catch(() => false))) await sleep(50);
}

/** Waits until the host has nothing left to do. */
async function quiet(): Promise<void> {
  const api = host.connect();
  const group = api.group(groupName);
  const unfinished = async () => {
    const { queue } = await api.status();
    const images = (await group.diskImages.list()).filter(({ status }) => status.state === "Building");
    const sandboxes = (await group.sandboxes.list()).filter(({ state }) => /ing$/.test(state) && state !== "Running");
    const waiting = Object.values(queue ?? {}).some((count) => count > 0);
    return [...images.map(({ id }) => id), ...sandboxes.map(({ id, state }) => `${id} ${state}`), waiting && "queue"];
  };
  const left = () => unfinished().then((all) => all.filter(Boolean), String);
  await expect.poll(left, { timeout: quietWithinMs, interval: 200 }).toEqual([]);
  await api.close();
}

/** Faults of the daemon itself, which nobody may have been told. */
function faultsIn(logFile: string): string[] {
  const lines = readFileSync(logFile, "utf8").split("\n");
  return lines.filter((line) => line.includes('"level":50') || (line !== "" && !line.startsWith("{")));
}

function story(blows: Blow[], ledger: Ledger): string {
  const count = (victim: string) => blows.filter((blow) => blow.victim === victim).length;
  const last = blows.slice(-pointsOfRound).map(({ victim, machine }) => `${victim} ${machine ?? ""}`.trim());
  const killed = `${count("daemon")} daemons (${count("asked daemon")} more were asked to end), ${count("spawner")} spawners, ${count("machine")} machines`;
  const done = [...ledger.counts].sort(([a], [b]) => a.localeCompare(b)).map(([what, n]) => `${n} ${what}`);
  return `seed ${seed}: killed ${killed} (last ${last.join(", ")}); answers: ${done.join(", ")}`;
}
