import { setTimeout as delay } from "node:timers/promises";
import { SandboxesError } from "../../client/errors";
import type { GroupPatch, GroupPut } from "../../client/wire/groups";
import { type GroupRecord, type GroupScope, type GroupStore, groupKey } from "../store/groupStore";
import type { VmDriver } from "../vm/driver";
import { refuseAzureOnlyOfGroup } from "./azureOnly";
import { checkIsolation } from "./isolation";
import { timestamp } from "./timestamp";

export interface GroupServiceParts {
  store: GroupStore;
  driver: Pick<VmDriver, "capabilities">;
  /** Deletes all that lives in a group. */
  empty: (record: GroupRecord) => Promise<void>;
}

/** How far a group is with being deleted. */
export interface Deletion {
  status: "InProgress" | "Succeeded" | "Failed";
  error?: unknown;
}

/** Longer than it takes but with very many sandboxes; far less than clients wait for an answer. */
const defaultPatienceMs = 20_000;

/** Sandbox groups: names to file things under, with tags and what all their sandboxes must obey. */
export class GroupService {
  readonly #parts: GroupServiceParts;
  /** Those that run or failed. */
  readonly #deletions = new Map<string, Deletion>();

  constructor(parts: GroupServiceParts) {
    this.#parts = parts;
  }

  /** Creates, or replaces what may change; the location may not (`Conflict`). */
  put(scope: GroupScope, body: GroupPut): { record: GroupRecord; created: boolean } {
    refuseAzureOnlyOfGroup(body);
    const { store, driver } = this.#parts;
    const key = groupKey(scope);
    const old = store.get(key);
    const properties = writable(body.properties);
    checkIsolation(properties, driver.capabilities);
    if (old && normalLocation(old.location) !== normalLocation(body.location)) {
      throw new SandboxesError(
        "Conflict",
        `Cannot move the group "${old.name}" to "${body.location}": it is in "${old.location}"`,
        { serviceCode: "InvalidResourceLocation", field: "location" },
      );
    }
    const now = timestamp();
    const record: GroupRecord = {
      key,
      subscriptionId: old?.subscriptionId ?? scope.subscriptionId,
      resourceGroup: old?.resourceGroup ?? scope.resourceGroup,
      name: old?.name ?? scope.group,
      location: old?.location ?? body.location,
      tags: body.tags ?? {},
      identity: body.identity ?? old?.identity,
      properties,
      createdAt: old?.createdAt ?? now,
      updatedAt: now,
    };
    store.put(record);
    return { record, created: !old };
  }

  /** Throws `GroupNotFound`. */
  get(scope: GroupScope): GroupRecord {
    const record = this.#parts.store.get(groupKey(scope));
    if (record) return record;
    throw new SandboxesError(
      "GroupNotFound",
      `The sandbox group "${scope.group}" was not found in resource group "${scope.resourceGroup}"`,
    );
  }

  list(subscriptionId: string, resourceGroup?: string): GroupRecord[] {
    return this.#parts.store.list(subscriptionId, resourceGroup);
  }

  /** Merges; `tags` replaces the whole map. */
  patch(scope: GroupScope, body: GroupPatch): GroupRecord {
    const old = this.get(scope);
    refuseAzureOnlyOfGroup(body);
    const properties = { ...old.properties, ...writable(body.properties) };
    checkIsolation(properties, this.#parts.driver.capabilities);
    const record: GroupRecord = {
      ...old,
      tags: body.tags ?? old.tags,
      identity: body.identity ?? old.identity,
      properties,
      updatedAt: timestamp(),
    };
    this.#parts.store.put(record);
    return record;
  }

  /**
   * Deletes the group and all in it; undefined when there is none. Resolves when all is gone, or after `patienceMs` while
   * the work goes on; `deletion` tells how that stands.
   */
  async delete(scope: GroupScope, patienceMs = defaultPatienceMs): Promise<GroupRecord | undefined> {
    const key = groupKey(scope);
    const record = this.#parts.store.get(key);
    if (!record) return undefined;
    // The group first: nothing new can enter while it is emptied, and a restarted host removes what lost its group.
    this.#parts.store.delete(key);
    const emptied = this.#parts.empty(record).then(
      () => void this.#deletions.delete(key),
      (error: unknown) => {
        this.#deletions.set(key, { status: "Failed", error });
        throw error;
      },
    );
    this.#deletions.set(key, { status: "InProgress" });
    const impatient = new AbortController();
    const patience = delay(patienceMs, undefined, { signal: impatient.signal, ref: false }).catch(() => undefined);
    try {
      await Promise.race([emptied, patience]);
    } finally {
      impatient.abort();
      emptied.catch(() => undefined);
    }
    return record;
  }

  /** Of the group that has or had this key. What a former process began, the recovery of this one has ended. */
  deletion(key: string): Deletion {
    return this.#deletions.get(key) ?? { status: "Succeeded" };
  }
}

/** Clients send back what they read; these are ours to say. */
const readOnly = new Set(["provisioningState", "managementEndpoint", "defaultDomain", "isolation"]);

function writable(properties: Record<string, unknown> | null | undefined): Record<string, unknown> {
  return Object.fromEntries(Object.entries(properties ?? {}).filter(([name]) => !readOnly.has(name)));
}

/** "East US 2" and "eastus2" are one place. */
function normalLocation(location: string): string {
  return location.replaceAll(" ", "").toLowerCase();
}
