import type { z } from "zod";
import { SandboxesError } from "../../client/errors";
import type { createPort, PortAuth } from "../../client/wire/ports";
import type { PortRecord } from "../store/sandboxStore";

/** Ports of one sandbox; each costs the host a listener. */
const maxPorts = 64;

/** What the host says of a port and callers send back. */
const readOnly = new Set(["url", "hostPort"]);

/** A request's ports as they are kept; throws for what this host cannot do, and for a port that is there twice. */
export function declaredPorts(
  requested: readonly z.output<typeof createPort>[],
  options: { hasToken: boolean },
): PortRecord[] {
  const ports = requested.map((port) => declaredPort(port, options));
  if (ports.length > maxPorts) {
    throw new SandboxesError("Invalid", `Cannot open ${ports.length} ports of a sandbox: at most ${maxPorts}`, {
      field: "ports",
    });
  }
  for (const [index, { port, name }] of ports.entries()) {
    const others = ports.slice(0, index);
    if (others.some((other) => other.port === port)) throw taken(`port ${port}`);
    if (name !== undefined && others.some((other) => other.name === name)) throw taken(`a port named "${name}"`);
  }
  return ports;
}

function declaredPort(requested: z.output<typeof createPort>, { hasToken }: { hasToken: boolean }): PortRecord {
  const { port, name, activationMode, protocol, ...rest } = requested;
  const auth = requested.auth ?? {};
  refuseProviders(auth);
  if (auth.anonymous !== true && !hasToken) {
    throw new SandboxesError(
      "Invalid",
      `Cannot open port ${port} for callers with a token: this host has none, it listens on this machine only`,
      { field: "auth", hint: "use {anonymous: true}: only this machine's users reach the port" },
    );
  }
  const kept = Object.entries(rest).filter(
    ([key, value]) => !readOnly.has(key) && value !== null && value !== undefined,
  );
  return {
    ...Object.fromEntries(kept),
    port,
    auth,
    ...(name ? { name } : {}),
    activationMode: activationMode ?? "Manual",
    protocol: protocol ?? "Http",
  };
}

function refuseProviders(auth: PortAuth): void {
  for (const provider of ["entraId", "github"] as const) {
    const asked = auth[provider];
    if (!asked || asked.enabled === false) continue;
    throw new SandboxesError(
      "Unsupported",
      `Cannot let callers in by "${provider}": this host knows no such identities`,
      {
        field: `auth.${provider}`,
        hint: "use {anonymous: true}, or {} for callers with this host's token",
      },
    );
  }
}

function taken(what: string): SandboxesError {
  return new SandboxesError("Conflict", `The sandbox has ${what} already`, { serviceCode: "PortAlreadyExists" });
}
