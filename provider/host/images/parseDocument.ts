import { z } from "zod";
import { SandboxesError } from "../../client/errors";
import { indexSchema, manifestSchema, type OciIndex, type OciManifest } from "./ociDocuments";

/** Parses a JSON document that others wrote; rejects with `ImageInvalid`, naming `what` and the first fault. */
export function parseDocument<T>(what: string, schema: z.ZodType<T>, bytes: Buffer | string): T {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString());
  } catch (error) {
    throw new SandboxesError("ImageInvalid", `${what} is not JSON`, { cause: error });
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const where = issue?.path.length ? `${issue.path.join(".")}: ` : "";
  throw new SandboxesError("ImageInvalid", `${what} cannot be understood: ${where}${issue?.message}`);
}

/** Parses what a reference points to: one image, or the list of an image's platforms. */
export function parseManifestOrIndex(what: string, bytes: Buffer): { index: OciIndex } | { manifest: OciManifest } {
  const shape = parseDocument(
    what,
    z.object({ schemaVersion: z.number().optional(), manifests: z.unknown().optional() }),
    bytes,
  );
  if (shape.schemaVersion === 1) {
    throw new SandboxesError("ImageInvalid", `${what} has the schema 1 that Docker gave up in 2017`, {
      hint: "push the image anew with a current tool",
    });
  }
  return shape.manifests === undefined
    ? { manifest: parseDocument(what, manifestSchema, bytes) }
    : { index: parseDocument(what, indexSchema, bytes) };
}
