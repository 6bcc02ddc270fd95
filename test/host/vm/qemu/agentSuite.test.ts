import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { createQemuDriver } from "../../../../provider/host/vm/qemu";
import { describeClones } from "../agentSuite/clones";
import { describeFiles } from "../agentSuite/files";
import { describePlanted } from "../agentSuite/planted";
import { describePrograms } from "../agentSuite/programs";
import type { RealGuest } from "../agentSuite/realGuest";
import { describeTrees } from "../agentSuite/trees";
import { busyboxRootfs } from "../busyboxRootfs";
import { processesOf } from "../driverContract";

describe("the agent of a real guest", () => {
  let guest: RealGuest;

  beforeAll(async () => {
    const dataDirectory = await mkdtemp(join(tmpdir(), "sandboxes-agent-"));
    const driver = await createQemuDriver({ dataDirectory });
    // More disk than half of the memory: a layer that keeps extended attributes, too.
    const spec = { ...(await busyboxRootfs()), vcpus: 2, memoryMiB: 256, diskMiB: 512 };
    const template = await driver.ensureTemplate(spec);
    const { agent } = await driver.clone(template, { vmId: "shared" });
    guest = { agent, driver, template, dataDirectory };
  });

  afterAll(async () => {
    const { driver, dataDirectory } = guest;
    for (const id of await driver.listVms()) await driver.destroy(id);
    await driver.close();
    expect(processesOf(dataDirectory)).toEqual([]);
    await rm(dataDirectory, { recursive: true });
  });

  describePrograms(() => guest);
  describeTrees(() => guest);
  describeFiles(() => guest);
  describeClones(() => guest);
  describePlanted(() => guest);
});
