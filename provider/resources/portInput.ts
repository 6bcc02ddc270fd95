import { z } from "zod";
import type { SandboxesApi } from "../client/sandboxes";
import { type CreatePort, ipAccessControl, type PortView, portCors } from "../client/wire/ports";
import { canonical, definedOnly, isBag, type PropertyBag } from "../pulumi/propertyBag";

const identities = z.strictObject({
  enabled: z.boolean().optional(),
  emails: z.array(z.string()).optional(),
  emailSuffixes: z.array(z.string()).optional(),
  objectIds: z.array(z.string()).optional(),
  tenantIds: z.array(z.string()).optional(),
  usernames: z.array(z.string()).optional(),
  usernameSuffixes: z.array(z.string()).optional(),
});

const port = z.strictObject({
  port: z.int().min(1).max(65_535).describe("number of the port in the sandbox"),
  name: z.string().min(1).optional(),
  auth: z
    .strictObject({ anonymous: z.boolean().optional(), entraId: identities.optional(), github: identities.optional() })
    .describe("who may call: {anonymous: true}, or {} for callers with the host's token"),
  activationMode: z.enum(["Manual", "OnDemand"]).describe("OnDemand resumes a stopped sandbox").optional(),
  protocol: z.enum(["Http", "Http2"]).optional(),
  ipAccessControl: ipAccessControl.optional(),
  cors: portCors.optional(),
});

/** Ways into a sandbox. */
export const portsInput = z
  .array(port)
  .refine((ports) => new Set(ports.map(({ port }) => port)).size === ports.length, "a port stands here twice")
  .describe("ports that the target forwards HTTP to");
export type PortsInput = z.output<typeof portsInput>;

/** What services fill in; as good as not said. */
const defaults: PropertyBag = { activationMode: "Manual", protocol: "Http" };

/** The ports that a service tells, as inputs, in the order and with the defaults spelled as they were declared. */
export function portInputs(live: readonly PortView[] | null | undefined, had: unknown): z.input<typeof portsInput> {
  const declared = (Array.isArray(had) ? had : []).filter(isBag);
  const place = (port: PropertyBag) => {
    const at = declared.findIndex((other) => other.port === port.port);
    return at < 0 ? declared.length : at;
  };
  return (live ?? [])
    .map((view) => told(view, declared.find((other) => other.port === view.port) ?? {}))
    .sort((one, other) => place(one) - place(other)) as z.input<typeof portsInput>;
}

/** Closes and opens what differs between the ports that are there and those wanted. Repeatable. */
export async function bringPorts(
  sandboxes: SandboxesApi,
  id: string,
  live: readonly PortView[] | null | undefined,
  wanted: PortsInput,
): Promise<void> {
  const ports = sandboxes.ports(id);
  const there = portInputs(live, wanted);
  const isSame = (one: unknown, other: unknown) => JSON.stringify(canonical(one)) === JSON.stringify(canonical(other));
  const kept = there.filter((port) => wanted.some((other) => isSame(port, other)));
  for (const { port } of there.filter((other) => !kept.includes(other))) await ports.remove(Number(port));
  for (const each of wanted.filter((other) => !kept.some(({ port }) => port === other.port))) {
    await ports.add(each as CreatePort);
  }
}

/** Addresses by port. */
export function portUrls(live: readonly PortView[] | null | undefined): Record<string, string> | undefined {
  const entries = (live ?? []).flatMap(({ port, url }) => (url ? [[String(port), url] as const] : []));
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}

function told(view: PortView, declared: PropertyBag): PropertyBag {
  const known = Object.keys(port.shape).map((key) => {
    const value = withoutNull((view as PropertyBag)[key]);
    return [key, declared[key] === undefined && value === defaults[key] ? undefined : value];
  });
  return definedOnly({ auth: {}, ...definedOnly(Object.fromEntries(known)) });
}

function withoutNull(value: unknown): unknown {
  if (value === null) return undefined;
  if (Array.isArray(value)) return value.map(withoutNull);
  if (!isBag(value)) return value;
  return definedOnly(Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutNull(item)])));
}
