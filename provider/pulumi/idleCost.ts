import { cpuMillis, sizeMiB } from "../client/wire/quantities";
import { isBag } from "./propertyBag";

/** List prices of the Consumption plan of Container Apps, USD a second, autumn 2026; other regions differ. */
const prices = { vcpu: 0.000024, gib: 0.000003 };
const monthSeconds = 30 * 24 * 3600;

/** What of a sandbox on Azure tells its costs. */
export interface SandboxCosts {
  name: string;
  /** Undefined: by default. */
  cpu?: string | number;
  memory?: string;
  lifecycle?: unknown;
  /** Made from a snapshot, or from what Azure has prepared, and as large as that. */
  isCopy: boolean;
}

/** One line about what sandboxes on Azure cost while nobody uses them; undefined when there are none. */
export function idleCostText(sandboxes: readonly SandboxCosts[]): string | undefined {
  if (sandboxes.length === 0) return undefined;
  const running = sandboxes.filter(neverSuspended);
  const copies = running.filter(({ isCopy }) => isCopy);
  const sized = running.filter(({ isCopy }) => !isCopy);
  const sum = sized.reduce((all, each) => all + monthly(each), 0);
  const suspended = sandboxes.length - running.length;
  const parts = [
    ...(sized.length > 0 ? [`${namesOf(sized)}: never suspended, about ${Math.round(sum)} USD a month`] : []),
    ...(copies.length > 0 ? [`${namesOf(copies)}: never suspended, by the size of what they are made from`] : []),
    ...(suspended > 0
      ? [`${suspended === 1 ? "1 is" : `${suspended} are`} suspended when idle, for storage only`]
      : []),
  ];
  return `While nobody uses them, sandboxes on Azure cost: ${parts.join("; ")} (list prices; see docs/azure.md)`;
}

function neverSuspended({ lifecycle }: SandboxCosts): boolean {
  const policy = isBag(lifecycle) ? lifecycle.autoSuspendPolicy : undefined;
  return isBag(policy) && (policy.enabled === false || policy.mode === "None");
}

function monthly({ cpu = "1000m", memory = "2048Mi" }: SandboxCosts): number {
  const perSecond = (cpuMillis(String(cpu)) / 1000) * prices.vcpu + (sizeMiB(memory) / 1024) * prices.gib;
  return perSecond * monthSeconds;
}

function namesOf(sandboxes: readonly SandboxCosts[]): string {
  return sandboxes.map(({ name }) => name).join(", ");
}
