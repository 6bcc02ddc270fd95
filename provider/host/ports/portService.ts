import type { z } from "zod";
import { isSandboxesError, SandboxesError } from "../../client/errors";
import type { createPort, patchPort } from "../../client/wire/ports";
import type { HostLog } from "../services/hostLog";
import type { SandboxService } from "../services/sandboxes";
import { saveChange } from "../services/sandboxRecords";
import { Serial } from "../services/serial";
import type { PortRecord, SandboxRecord, SandboxStore } from "../store/sandboxStore";
import { declaredPorts } from "./declaredPort";
import { openPortServer, type PortServer } from "./portServer";

/** For the guest to accept or refuse; it does so at once. */
const connectWithinMs = 15_000;

export interface PortServiceParts {
  store: SandboxStore;
  sandboxes: Pick<SandboxService, "running" | "hold">;
  /** Where listeners listen: where the host itself does, or this machine's loopback. */
  bindHost: string;
  tls?: { cert: string; key: string };
  token: string | undefined;
  /** Listeners' ports, first and last; default: what the system gives. */
  range?: { first: number; last: number };
  log: HostLog;
}

/** Ways into sandboxes: for each declared port a listener of the host's that forwards HTTP to it. */
export class PortService {
  readonly #parts: PortServiceParts;
  readonly #servers = new Map<string, Map<number, PortServer>>();
  readonly #serial = new Serial();

  constructor(parts: PortServiceParts) {
    this.#parts = parts;
  }

  /** Checks what a request for a sandbox says of ports; answers what its record holds. */
  declared(ports: readonly z.output<typeof createPort>[]): PortRecord[] {
    return declaredPorts(ports, { hasToken: this.#parts.token !== undefined });
  }

  /** Opens the listeners of a new sandbox, all or none. */
  async open(record: SandboxRecord): Promise<SandboxRecord> {
    return record.ports?.length ? this.#change(record, (ports) => ports) : record;
  }

  /** Throws `Conflict` (`PortAlreadyExists`) when the number or name is there. */
  add(record: SandboxRecord, port: z.output<typeof createPort>): Promise<SandboxRecord> {
    return this.#change(record, (ports) => this.declared([...ports, port]));
  }

  replace(record: SandboxRecord, ports: readonly z.output<typeof createPort>[]): Promise<SandboxRecord> {
    return this.#change(record, () => this.declared(ports));
  }

  /** Merges into the port of that number or name; throws `NotFound`. */
  patch(record: SandboxRecord, change: z.output<typeof patchPort>): Promise<SandboxRecord> {
    const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
    return this.#change(record, (ports) => {
      const wanted = requiredPort(ports, change);
      const merged = { ...wanted, ...given, port: wanted.port };
      return this.declared(ports.map((port) => (port === wanted ? merged : port)));
    });
  }

  /** Throws `NotFound`. */
  remove(record: SandboxRecord, which: { port?: number | null; name?: string | null }): Promise<SandboxRecord> {
    return this.#change(record, (ports) => {
      const wanted = requiredPort(ports, which);
      return ports.filter((port) => port !== wanted);
    });
  }

  /** Closes the listeners of a sandbox that is gone. Repeatable. */
  removed(sandboxId: string): void {
    for (const server of this.#servers.get(sandboxId)?.values() ?? []) server.close();
    this.#servers.delete(sandboxId);
  }

  /** Listens again for what a former process had open, on the same ports where they are free. */
  async restart(): Promise<void> {
    for (const record of this.#parts.store.all()) {
      await this.open(record).catch((error: unknown) =>
        this.#parts.log.error({ sandbox: record.id, error: String(error) }, "ports of a sandbox could not be opened"),
      );
    }
  }

  close(): void {
    for (const id of [...this.#servers.keys()]) this.removed(id);
  }

  /** One change of a sandbox's ports after the other, each upon what the one before it left. */
  #change(
    { groupKey, id }: SandboxRecord,
    decide: (ports: readonly PortRecord[]) => readonly PortRecord[],
  ): Promise<SandboxRecord> {
    return this.#serial.run(id, async () => {
      const { store } = this.#parts;
      const record = store.get(groupKey, id);
      if (!record) throw gone(id);
      const ports = await this.#listenAll(record, decide(record.ports ?? []));
      if (store.find(id)) return saveChange(store, record, { ports });
      this.removed(id);
      throw gone(id);
    });
  }

  /** Brings the listeners to the declared ports; on failure they stay as they were. */
  async #listenAll(record: SandboxRecord, ports: readonly PortRecord[]): Promise<PortRecord[]> {
    const servers = this.#servers.get(record.id) ?? new Map<number, PortServer>();
    this.#servers.set(record.id, servers);
    const opened = new Map<number, PortServer>();
    try {
      for (const { port, protocol } of ports) {
        if (servers.get(port)?.protocol === protocol) continue;
        const before = record.ports?.find((each) => each.port === port)?.hostPort;
        opened.set(port, await this.#listen(record, { port, protocol }, before));
      }
    } catch (error) {
      for (const server of opened.values()) server.close();
      throw error;
    }
    for (const [port, server] of opened) {
      servers.get(port)?.close();
      servers.set(port, server);
    }
    for (const [port, server] of servers) {
      if (ports.some((each) => each.port === port)) continue;
      server.close();
      servers.delete(port);
    }
    return ports.map((port) => ({ ...port, hostPort: servers.get(port.port)?.hostPort }));
  }

  async #listen(
    { id, groupKey }: SandboxRecord,
    { port, protocol }: Pick<PortRecord, "port" | "protocol">,
    before: number | undefined,
  ): Promise<PortServer> {
    const { bindHost, tls, token, store, log } = this.#parts;
    const options = {
      ...{ bindHost, tls, token, protocol },
      declared: () => store.find(id)?.ports?.find((each) => each.port === port),
      connect: (onDemand: boolean, signal: AbortSignal) => this.#connect(groupKey, id, port, onDemand, signal),
      failed: (error: unknown) => log.error({ sandbox: id, port, error: String(error) }, "forwarding to a port failed"),
    };
    for (const hostPort of this.#candidates(before)) {
      try {
        return await openPortServer({ ...options, hostPort });
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code !== "EADDRINUSE" && code !== "EACCES") throw error;
      }
    }
    throw new SandboxesError("CapacityExceeded", `Cannot open port ${port}: no port of this host is free for it`, {
      hint: "close ports that are not needed, or give the host a wider --port-range",
    });
  }

  /** The one it had, then all of the range from a random one on, or whatever is free. */
  *#candidates(before: number | undefined): Generator<number> {
    const { range } = this.#parts;
    if (before !== undefined && (!range || (before >= range.first && before <= range.last))) yield before;
    if (!range) return yield 0;
    const count = range.last - range.first + 1;
    const start = Math.floor(Math.random() * count);
    for (let index = 0; index < count; index += 1) yield range.first + ((start + index) % count);
  }

  async #connect(groupKey: string, id: string, port: number, onDemand: boolean, signal: AbortSignal) {
    const { vm } = await this.#parts.sandboxes.running(groupKey, id, onDemand);
    const limit = AbortSignal.timeout(connectWithinMs);
    try {
      const connection = await vm.agent.connectPort(port, { signal: AbortSignal.any([signal, limit]) });
      connection.once("close", this.#parts.sandboxes.hold(id));
      return connection;
    } catch (error) {
      if (isSandboxesError(error) || !limit.aborted) throw error;
      throw new SandboxesError("Timeout", `Sandbox '${id}' did not answer within ${connectWithinMs} ms`);
    }
  }
}

function requiredPort(
  ports: readonly PortRecord[],
  { port, name }: { port?: number | null; name?: string | null },
): PortRecord {
  const found = ports.find((each) => (port ? each.port === port : name && each.name === name));
  if (found) return found;
  const what = port ? `port ${port}` : `port named "${name ?? ""}"`;
  throw new SandboxesError("NotFound", `The sandbox has no ${what}`, { serviceCode: "PortNotFound" });
}

function gone(id: string): SandboxesError {
  return new SandboxesError("SandboxNotFound", `The sandbox "${id}" does not exist`);
}
