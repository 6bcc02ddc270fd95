/**
 * A resource that exists but is not usable yet. The engine keeps it, with its id, and calls `update` on it next time;
 * the field names are those that Pulumi's dynamic provider looks for.
 */
export class InitFailed extends Error {
  readonly id: string;
  readonly properties: Record<string, unknown>;
  readonly reasons: string[];

  constructor(id: string, properties: Record<string, unknown>, reason: string, cause?: unknown) {
    super(reason, { cause });
    this.name = "InitFailed";
    this.id = id;
    this.properties = properties;
    this.reasons = [reason];
  }
}
