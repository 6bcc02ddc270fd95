import { describe, expect } from "vitest";
import { SandboxApi } from "../../provider/client/sandboxApi";
import { AzureDouble } from "../azure/double/azureDouble";
import { doubleApi } from "../azure/doubleApi";
import { newer, older, RunningHost } from "../host/fakes/runningHost";
import { groupScenarios } from "./scenarios/groups";
import { sandboxScenarios } from "./scenarios/sandboxes";
import type { ClientTarget } from "./scenarios/target";

async function openDouble(apiVersion: string): Promise<ClientTarget> {
  const double = await AzureDouble.start();
  const close = async () => {
    const { violations } = double;
    const counts = double.counts();
    await double[Symbol.asyncDispose]();
    expect(violations).toEqual([]);
    expect(counts.groups).toBe(0);
  };
  return { api: doubleApi(double, { apiVersion }), location: double.location, close };
}

async function openHost(apiVersion: string): Promise<ClientTarget> {
  // Its machines are folders, which take no memory.
  const host = await new RunningHost().start({ admission: { memoryBudgetMiB: 2 ** 20 } });
  const where = { subscriptionId: "s1", resourceGroupName: "local" };
  const api = new SandboxApi({ endpoint: `unix:${host.socket}`, ...where }, { apiVersion });
  const close = async () => {
    const machines = host.machines.vms.size;
    await host.close();
    expect(machines).toBe(0);
  };
  return { api, location: "local", close };
}

describe.each([
  { service: "Azure's double", apiVersion: older, open: openDouble },
  { service: "Azure's double", apiVersion: newer, open: openDouble },
  { service: "a host", apiVersion: older, open: openHost },
  { service: "a host", apiVersion: newer, open: openHost },
])("the client on $service, $apiVersion", ({ apiVersion, open }) => {
  groupScenarios(() => open(apiVersion));
  sandboxScenarios(() => open(apiVersion));
});
