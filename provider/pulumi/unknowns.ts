/**
 * What the engine sends in a preview in place of a value that is not known yet, whatever its type.
 * (`UnknownStringValue` in pulumi/pulumi, `sdk/go/common/resource/plugin/rpc.go`.)
 */
export const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

/** True when the value, or anything inside it, is not known yet. */
export function containsUnknown(value: unknown): boolean {
  if (value === unknownValue) return true;
  if (Array.isArray(value)) return value.some(containsUnknown);
  if (typeof value === "object" && value !== null) return Object.values(value).some(containsUnknown);
  return false;
}
