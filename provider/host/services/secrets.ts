import { SandboxesError } from "../../client/errors";
import { rowId } from "../store/namedTable";
import type { SecretBox } from "../store/secretBox";
import type { SecretRecord, SecretStore } from "../store/secretStore";
import { timestamp } from "./timestamp";

/** Of one secret's values together: they are credentials, not files. */
const maxBytes = 64 * 1024;

/** Named sets of values of a group, encrypted at rest. Nothing here is ever logged. */
export class SecretService {
  readonly #store: SecretStore;
  readonly #box: SecretBox;

  constructor(parts: { store: SecretStore; box: SecretBox }) {
    this.#store = parts.store;
    this.#box = parts.box;
  }

  /** Creates, or replaces all values. */
  put(groupKey: string, id: string, values: Record<string, string>): { record: SecretRecord; created: boolean } {
    const text = JSON.stringify(values);
    if (Buffer.byteLength(text) > maxBytes) {
      throw new SandboxesError(
        "TooLarge",
        `Cannot keep the secret "${id}": its values are larger than ${maxBytes} bytes`,
      );
    }
    const old = this.#store.named(groupKey, id);
    const now = timestamp();
    const row = rowId(groupKey, id);
    const record: SecretRecord = {
      ...{ id: row, groupKey, name: old?.name ?? id, keys: Object.keys(values).sort() },
      ...{ sealed: this.#box.seal(row, text), createdAt: old?.createdAt ?? now, updatedAt: now },
    };
    this.#store.put(record);
    return { record, created: !old };
  }

  /** Throws `NotFound`. */
  get(groupKey: string, id: string): SecretRecord {
    const record = this.#store.named(groupKey, id);
    if (record) return record;
    throw new SandboxesError("NotFound", `The secret "${id}" does not exist`, { serviceCode: "SecretNotFound" });
  }

  list(groupKey: string): SecretRecord[] {
    return this.#store.list(groupKey);
  }

  /** The values themselves. */
  peek(groupKey: string, id: string): { record: SecretRecord; values: Record<string, string> } {
    const record = this.get(groupKey, id);
    return { record, values: JSON.parse(this.#box.open(record.id, record.sealed)) as Record<string, string> };
  }

  /** One value, for what refers to it by id and key; without a key the secret's only one. Throws `NotFound`. */
  secretValue(groupKey: string, id: string, key?: string | null): string {
    const { record, values } = this.peek(groupKey, id);
    const wanted = key ?? (record.keys.length === 1 ? record.keys[0] : undefined);
    if (wanted === undefined) {
      throw new SandboxesError("Invalid", `The secret "${id}" has ${record.keys.length} values: name one by its key`, {
        field: "secretKey",
      });
    }
    if (Object.hasOwn(values, wanted)) return values[wanted] as string;
    throw new SandboxesError("NotFound", `The secret "${id}" has no value "${wanted}"`, {
      serviceCode: "SecretKeyNotFound",
    });
  }

  /** False when there was none. */
  delete(groupKey: string, id: string): boolean {
    const record = this.#store.named(groupKey, id);
    if (record) this.#store.delete(record.id);
    return record !== undefined;
  }

  /** Deletes all of a group. */
  empty(groupKey: string): void {
    for (const record of this.#store.list(groupKey)) this.#store.delete(record.id);
  }

  /** Drops what is left of groups that a former process was deleting. */
  restart(groupExists: (groupKey: string) => boolean): void {
    for (const record of this.#store.all()) if (!groupExists(record.groupKey)) this.#store.delete(record.id);
  }
}
