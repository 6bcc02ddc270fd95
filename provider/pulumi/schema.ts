import { z } from "zod";

/** The schema inside `optional`, `nullable` and `default`. */
export function unwrapSchema(schema: z.ZodType): z.ZodType {
  return layersOf(schema).at(-1) as z.ZodType;
}

/** True for a field whose schema carries `.meta({ secret: true })`: its value must never be shown. */
export function isSecretField(field: z.ZodType): boolean {
  return layersOf(field).some((layer) => layer.meta()?.secret === true);
}

/** The one-line description of a field, whichever wrapper it was given to. */
export function descriptionOf(field: z.ZodType): string | undefined {
  return layersOf(field).find((layer) => layer.description)?.description;
}

function layersOf(schema: z.ZodType): z.ZodType[] {
  const wraps = schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodDefault;
  return wraps ? [schema, ...layersOf(schema.unwrap() as z.ZodType)] : [schema];
}
