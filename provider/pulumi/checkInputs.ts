import { z } from "zod";
import { canonical, isBag, type PropertyBag, propertyPath } from "./propertyBag";
import { descriptionOf, isSecretField, unwrapSchema } from "./schema";
import { containsUnknown, unknownValue } from "./unknowns";

export interface CheckFailure {
  /** Path of the input; empty where naming it would make the engine print a secret beside it. */
  property: string;
  /** What is wrong and, in brackets, what mends it. */
  reason: string;
}

export interface CheckedInputs {
  /** Defaults filled in, quantities normalised, keys sorted; unknowns stay as they came. */
  inputs: PropertyBag;
  failures: CheckFailure[];
}

/**
 * Parses inputs by their schema. What is not known yet passes at any depth; the known rest is still checked.
 * A failure never holds the value of an input marked `secret` in the schema.
 */
export function checkInputs(schema: z.ZodObject, news: PropertyBag): CheckedInputs {
  const issues: Issue[] = [];
  const parsed = parseNode(schema, news, [], issues);
  return { inputs: canonical(parsed) as PropertyBag, failures: issues.map((issue) => toFailure(schema, issue)) };
}

/** The old state's inputs in the form that `checkInputs` gives today; what no longer parses stays as it is. */
export function canonicalInputs(schema: z.ZodObject, olds: PropertyBag): PropertyBag {
  const entries = Object.entries(schema.shape).map(([key, field]) => {
    const parsed = (field as z.ZodType).safeParse(olds[key]);
    return [key, parsed.success ? parsed.data : olds[key]];
  });
  return canonical(Object.fromEntries(entries)) as PropertyBag;
}

/** Names of the inputs whose values, or parts of them, must not be shown. */
export function secretInputs(schema: z.ZodObject): string[] {
  return Object.keys(schema.shape).filter((key) => holdsSecret(schema.shape[key] as z.ZodType));
}

function holdsSecret(field: z.ZodType): boolean {
  if (isSecretField(field)) return true;
  const inner = unwrapSchema(field);
  if (inner instanceof z.ZodObject) return secretInputs(inner).length > 0;
  if (inner instanceof z.ZodArray) return holdsSecret(inner.element as z.ZodType);
  return inner instanceof z.ZodRecord && holdsSecret(inner.valueType as z.ZodType);
}

interface Issue {
  path: PropertyKey[];
  message: string;
  code: string;
}

function parseNode(schema: z.ZodType, value: unknown, path: PropertyKey[], issues: Issue[]): unknown {
  if (value === unknownValue) return value;
  if (!containsUnknown(value)) {
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    for (const { code = "custom", message, path: inner } of parsed.error.issues) {
      issues.push({ path: [...path, ...inner], message, code });
    }
    return value;
  }
  const inner = unwrapSchema(schema);
  if (inner instanceof z.ZodObject && isBag(value)) return parseObject(inner, value, path, issues);
  if (inner instanceof z.ZodArray && Array.isArray(value)) {
    return value.map((item, index) => parseNode(inner.element as z.ZodType, item, [...path, index], issues));
  }
  if (inner instanceof z.ZodRecord && isBag(value)) {
    const valueType = inner.valueType as z.ZodType;
    return mapValues(value, (item, key) => parseNode(valueType, item, [...path, key], issues));
  }
  // A form that only the whole value could tell, such as a union: the update, which knows it, checks again.
  return value;
}

function parseObject(schema: z.ZodObject, value: PropertyBag, path: PropertyKey[], issues: Issue[]): PropertyBag {
  const extra = Object.keys(value).filter((key) => !(key in schema.shape));
  if (extra.length > 0 && schema.def.catchall instanceof z.ZodNever) {
    issues.push({ path, message: `Unrecognized key: ${extra.join(", ")}`, code: "unrecognized_keys" });
  }
  return mapValues(schema.shape, (field, key) => parseNode(field as z.ZodType, value[key], [...path, key], issues));
}

function mapValues<T>(bag: Record<string, T>, map: (value: T, key: string) => unknown): PropertyBag {
  return Object.fromEntries(Object.entries(bag).map(([key, value]) => [key, map(value, key)]));
}

function toFailure(schema: z.ZodObject, { path, message, code }: Issue): CheckFailure {
  const fields = fieldsAlong(schema, path);
  const parent = unwrapSchema(fields.at(-1) ?? schema);
  const mend =
    code === "unrecognized_keys" && parent instanceof z.ZodObject
      ? `known: ${Object.keys(parent.shape)
          .filter((key) => !key.startsWith("__"))
          .join(", ")}`
      : fields.map(descriptionOf).findLast((text) => text);
  const reason = mend ? `${message} (${mend})` : message;
  const property = propertyPath(path);
  // The engine prints the value of the property that a failure names.
  return fields.some(isSecretField) ? { property: "", reason: `${property}: ${reason}` } : { property, reason };
}

function fieldsAlong(schema: z.ZodType, path: PropertyKey[]): z.ZodType[] {
  const fields: z.ZodType[] = [];
  let current: z.ZodType | undefined = schema;
  for (const part of path) {
    const inner: z.ZodType | undefined = current && unwrapSchema(current);
    if (inner instanceof z.ZodObject) current = inner.shape[part as string] as z.ZodType | undefined;
    else if (inner instanceof z.ZodArray) current = inner.element as z.ZodType;
    else if (inner instanceof z.ZodRecord) current = inner.valueType as z.ZodType;
    else current = undefined;
    if (current) fields.push(current);
  }
  return fields;
}
