import { z } from "zod";

const guidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** The id of a sandbox, disk image or snapshot: a GUID that the service assigns. Azure's message for anything else. */
export const guid = z.string().regex(guidPattern, "The input was not valid.");

/** True for text shaped like a service-assigned id. */
export function isGuid(text: string): boolean {
  return guidPattern.test(text);
}

/** Group names: the union of what Azure's api-versions allow; letters, digits and dashes, at most 63. */
export const groupName = z
  .string()
  .regex(/^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/, "use 1 to 63 letters, digits and inner dashes");
