import { isSandboxesError, SandboxesError } from "../../client/errors";
import type { EgressPolicy, NamedEgressPolicyContent } from "../../client/wire/egress";
import { answeredByGuest } from "../services/guestLimit";
import type { HostLog } from "../services/hostLog";
import type { SandboxNetwork } from "../services/sandboxNetwork";
import { saveChange } from "../services/sandboxRecords";
import { timestamp } from "../services/timestamp";
import type { EgressDecisionStore, EgressDecisions } from "../store/egressDecisionStore";
import type { EgressPolicyRecord, EgressPolicyStore } from "../store/egressPolicyStore";
import { rowId } from "../store/namedTable";
import type { SandboxRecord, SandboxStore } from "../store/sandboxStore";
import type { VmDriver } from "../vm/driver";
import type { GuestAgent, GuestListener } from "../vm/guestAgent";
import type { Authority } from "./authority";
import { checkPolicy, sectionOf } from "./checkPolicy";
import { DecisionLog } from "./decisionLog";
import type { Dial } from "./dial";
import { trustEnvironment, trustInGuest } from "./guestTrust";
import { type CompiledPolicy, compilePolicy } from "./policy";
import { createEgressProxy, type EgressProxy } from "./proxy";
import type { ProxiedGuest } from "./proxyParts";

/** Port of the guest's loopback behind which the host's proxy is; another one where a program holds it. */
const relayPort = 3128;
const maxNamedPolicies = 500;

export interface EgressServiceParts {
  driver: Pick<VmDriver, "capabilities">;
  sandboxes: SandboxStore;
  policies: EgressPolicyStore;
  decisions: EgressDecisionStore;
  dial: Dial;
  /** Made when the first sandbox needs it. */
  authority(): Authority;
  /** In place of the authorities that Node.js knows, for sites; PEM. */
  siteAuthorities?: string;
  /** Throws when there is none. */
  secretValue(groupKey: string, secretId: string, key: string | null | undefined): string;
  log: HostLog;
}

interface Relay {
  agent: GuestAgent;
  listener: Promise<GuestListener | undefined>;
}

/**
 * What may leave sandboxes, and the way out: a proxy of the host's that programs reach on their own loopback. Without
 * a policy nothing leaves. A policy holds at once, for requests to come and for tunnels that stand.
 */
export class EgressService implements SandboxNetwork {
  readonly #parts: EgressServiceParts;
  readonly #proxy: EgressProxy;
  readonly #decisions: DecisionLog;
  readonly #agents = new Map<string, GuestAgent>();
  readonly #relays = new Map<string, Relay>();
  readonly #trusting = new Map<string, { agent: GuestAgent; done: Promise<boolean> }>();
  readonly #guests = new Map<string, Guest>();

  constructor(parts: EgressServiceParts) {
    this.#parts = parts;
    this.#decisions = new DecisionLog(parts.decisions);
    this.#proxy = createEgressProxy({
      ...{ dial: parts.dial, authority: () => parts.authority(), siteAuthorities: parts.siteAuthorities },
      failed: (error) => parts.log.error({ error: String(error) }, "the egress proxy failed unexpectedly"),
    });
  }

  /** Checks what a request for a sandbox says of egress; answers what its record holds. */
  declared(
    groupKey: string,
    body: { egressPolicy?: EgressPolicy | null; egressPolicyId?: string | null },
  ): Pick<SandboxRecord, "egressPolicy" | "egressPolicyId"> {
    const { egressPolicy, egressPolicyId } = body;
    if (egressPolicy && egressPolicyId) {
      throw new SandboxesError("Invalid", "Give one of egressPolicy and egressPolicyId", { field: "egressPolicyId" });
    }
    if (egressPolicyId) {
      const named = this.#parts.policies.named(groupKey, egressPolicyId);
      if (named) return { egressPolicyId: named.name };
      throw new SandboxesError("Invalid", `The egress policy "${egressPolicyId}" does not exist`, {
        serviceCode: "EgressPolicyNotFound",
        field: "egressPolicyId",
      });
    }
    return egressPolicy ? { egressPolicy: this.#checked(groupKey, egressPolicy) } : {};
  }

  /** The policy that holds for a sandbox, as it was written. */
  policyOf(record: SandboxRecord): Record<string, unknown> {
    const named = record.egressPolicyId && this.#parts.policies.named(record.groupKey, record.egressPolicyId);
    return record.egressPolicy ?? (named ? named.policy : { defaultAction: "Deny" });
  }

  /** Replaces a sandbox's policy, also one that it had by name. */
  setPolicy(record: SandboxRecord, policy: EgressPolicy): Record<string, unknown> {
    const egressPolicy = this.#checked(record.groupKey, policy);
    saveChange(this.#parts.sandboxes, record, { egressPolicy, egressPolicyId: undefined });
    this.#changed(record.id);
    const agent = this.#agents.get(record.id);
    if (agent) {
      void this.#relay(record.id, agent);
      void this.#trust(record.id, agent);
    }
    return egressPolicy;
  }

  decisions(sandboxId: string): EgressDecisions {
    return this.#decisions.read(sandboxId);
  }

  async guestUp(record: SandboxRecord, agent: GuestAgent): Promise<void> {
    this.#agents.set(record.id, agent);
    // Programs that slept go on with the proxy they know.
    if (!record.egressPolicy && !record.egressPolicyId) return;
    await this.#relay(record.id, agent);
    await this.#trust(record.id, agent);
  }

  async environment({ id }: SandboxRecord): Promise<Record<string, string>> {
    const agent = this.#agents.get(id);
    if (!agent || !this.#guest(id).policy().allowsSomething) return {};
    const listener = await this.#relay(id, agent);
    if (!listener) return {};
    const proxy = `http://127.0.0.1:${listener.port}`;
    const none = "localhost,127.0.0.1,::1";
    const isTrusted = await this.#trust(id, agent);
    return {
      ...(isTrusted ? trustEnvironment : {}),
      ...{ HTTP_PROXY: proxy, http_proxy: proxy, HTTPS_PROXY: proxy, https_proxy: proxy },
      ...{ NO_PROXY: none, no_proxy: none },
    };
  }

  removed(sandboxId: string): void {
    this.#agents.delete(sandboxId);
    this.#relays.delete(sandboxId);
    this.#trusting.delete(sandboxId);
    this.#guests.delete(sandboxId);
    this.#decisions.delete(sandboxId);
  }

  listNamed(groupKey: string): EgressPolicyRecord[] {
    return this.#parts.policies.list(groupKey);
  }

  /** Throws `NotFound`. */
  getNamed(groupKey: string, id: string): EgressPolicyRecord {
    const record = this.#parts.policies.named(groupKey, id);
    if (record) return record;
    throw new SandboxesError("NotFound", `The egress policy "${id}" does not exist`, {
      serviceCode: "EgressPolicyNotFound",
    });
  }

  /** Creates or replaces; sandboxes that name it obey at once. */
  putNamed(
    groupKey: string,
    id: string,
    content: NamedEgressPolicyContent,
  ): { record: EgressPolicyRecord; created: boolean } {
    const { policies } = this.#parts;
    const old = policies.named(groupKey, id);
    if (!old && policies.list(groupKey).length >= maxNamedPolicies) {
      throw new SandboxesError("CapacityExceeded", `The group has ${maxNamedPolicies} egress policies already`);
    }
    const now = timestamp();
    const record: EgressPolicyRecord = {
      ...{ id: rowId(groupKey, id), groupKey, name: old?.name ?? id },
      policy: this.#checked(groupKey, content),
      ...{ createdAt: old?.createdAt ?? now, updatedAt: now },
    };
    policies.put(record);
    for (const { id } of this.#usersOf(record)) {
      this.#changed(id);
      const agent = this.#agents.get(id);
      if (agent) void this.#trust(id, agent);
    }
    return { record, created: !old };
  }

  /** False when there was none. Sandboxes that name it keep what it says, as a policy of their own. */
  deleteNamed(groupKey: string, id: string): boolean {
    const record = this.#parts.policies.named(groupKey, id);
    if (!record) return false;
    const { name, description, ...egressPolicy } = record.policy;
    for (const user of this.#usersOf(record)) {
      saveChange(this.#parts.sandboxes, user, { egressPolicy, egressPolicyId: undefined });
      this.#changed(user.id);
    }
    this.#parts.policies.delete(record.id);
    return true;
  }

  /** Deletes the named policies of a group. */
  empty(groupKey: string): void {
    for (const record of this.#parts.policies.list(groupKey)) this.#parts.policies.delete(record.id);
  }

  /** Drops what is left of groups and sandboxes that a former process was deleting. */
  restart(groupExists: (groupKey: string) => boolean): void {
    const { policies, decisions, sandboxes } = this.#parts;
    for (const record of policies.all()) if (!groupExists(record.groupKey)) policies.delete(record.id);
    for (const id of decisions.ids()) if (!sandboxes.find(id)) decisions.delete(id);
  }

  close(): void {
    this.#proxy.close();
    this.#decisions.write();
  }

  #checked(groupKey: string, policy: EgressPolicy): Record<string, unknown> {
    const hasSecret = (id: string, key: string | null | undefined) => {
      try {
        this.#parts.secretValue(groupKey, id, key);
        return true;
      } catch (error) {
        if (isSandboxesError(error)) return false;
        throw error;
      }
    };
    const { defaultAction } = checkPolicy(policy, { hasSecret });
    // Said aloud: Azure's clients take an absent action for Allow, this host for Deny.
    return defaultAction ? policy : { ...policy, defaultAction: "Deny" };
  }

  #usersOf({ groupKey, name }: EgressPolicyRecord): SandboxRecord[] {
    const wanted = name.toLowerCase();
    return this.#parts.sandboxes
      .list(groupKey)
      .filter(({ egressPolicy, egressPolicyId }) => !egressPolicy && egressPolicyId?.toLowerCase() === wanted);
  }

  #changed(sandboxId: string): void {
    const guest = this.#guests.get(sandboxId);
    guest?.forget();
    if (guest) this.#proxy.recheck(guest);
  }

  #guest(sandboxId: string): Guest {
    const known = this.#guests.get(sandboxId);
    if (known) return known;
    const { sandboxes, secretValue } = this.#parts;
    const guest = new Guest({
      readPolicy: () => {
        const record = sandboxes.find(sandboxId);
        return compilePolicy(record ? sectionOf(this.policyOf(record)) : {});
      },
      record: (outcome, decision) => this.#decisions.add(sandboxId, outcome, decision),
      secret: (secretId, key) => {
        const record = sandboxes.find(sandboxId);
        if (!record) throw new SandboxesError("SandboxNotFound", "The sandbox is gone");
        return secretValue(record.groupKey, secretId, key);
      },
    });
    this.#guests.set(sandboxId, guest);
    return guest;
  }

  /** Where the policy has TLS looked into, the guest's programs must trust us: once for each connection to its agent. */
  #trust(sandboxId: string, agent: GuestAgent): Promise<boolean> {
    if (!this.#guest(sandboxId).policy().inspectsSomething) return Promise.resolve(false);
    const known = this.#trusting.get(sandboxId);
    if (known?.agent === agent) return known.done;
    const done = answeredByGuest(sandboxId, async (signal) => {
      if (!this.#parts.driver.capabilities.isApart)
        throw new SandboxesError("Unsupported", "its files are this machine's own");
      return trustInGuest(agent, this.#parts.authority().certificate, signal);
    }).then(
      () => true,
      (error: unknown) => {
        const facts = { sandbox: sandboxId, error: String(error) };
        this.#parts.log.warn(facts, "a sandbox could not be given the authority for its inspected sites");
        if (this.#trusting.get(sandboxId)?.agent === agent) this.#trusting.delete(sandboxId);
        return false;
      },
    );
    this.#trusting.set(sandboxId, { agent, done });
    return done;
  }

  /** The listener in the guest, made once for each connection to its agent; undefined when it cannot be made. */
  #relay(sandboxId: string, agent: GuestAgent): Promise<GuestListener | undefined> {
    const known = this.#relays.get(sandboxId);
    if (known?.agent === agent) return known.listener;
    const serve = (connection: Parameters<EgressProxy["serve"]>[0]) =>
      this.#proxy.serve(connection, this.#guest(sandboxId));
    const listen = (port: number) => answeredByGuest(sandboxId, (signal) => agent.listen(port, serve, { signal }));
    const listener = listen(relayPort)
      .catch((error: unknown) => {
        if (isSandboxesError(error, "Conflict")) return listen(0);
        throw error;
      })
      .catch((error: unknown) => {
        this.#parts.log.warn({ sandbox: sandboxId, error: String(error) }, "a sandbox has no way out to the proxy");
        if (this.#relays.get(sandboxId)?.agent === agent) this.#relays.delete(sandboxId);
        return undefined;
      });
    this.#relays.set(sandboxId, { agent, listener });
    return listener;
  }
}

/** One sandbox for the proxy; its policy is compiled once. */
class Guest implements ProxiedGuest {
  readonly record: ProxiedGuest["record"];
  readonly secret: ProxiedGuest["secret"];
  readonly #readPolicy: () => CompiledPolicy;
  #policy: CompiledPolicy | undefined;

  constructor(parts: Pick<ProxiedGuest, "record" | "secret"> & { readPolicy: () => CompiledPolicy }) {
    this.record = parts.record;
    this.secret = parts.secret;
    this.#readPolicy = parts.readPolicy;
  }

  policy(): CompiledPolicy {
    this.#policy ??= this.#readPolicy();
    return this.#policy;
  }

  /** The next question reads the policy anew. */
  forget(): void {
    this.#policy = undefined;
  }
}
