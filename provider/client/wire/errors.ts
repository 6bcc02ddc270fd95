import { z } from "zod";

const envelopeShape = {
  code: z.string().nullish(),
  message: z.string().nullish(),
  target: z.string().nullish(),
  /** Extension: what the reader can do about it. */
  hint: z.string().nullish(),
};

const bodyShape = {
  /** ARM and the newer data plane: `{"error": {"code", "message"}}`. */
  error: z.union([z.looseObject(envelopeShape), z.string()]).nullish(),
  /** The older data plane, problem+json. The code is `errorCode`, and `title` where that is one word. */
  type: z.string().nullish(),
  title: z.string().nullish(),
  status: z.number().nullish().catch(undefined),
  detail: z.string().nullish(),
  /** Text for files, a number (which says nothing) for sandboxes. */
  errorCode: z.union([z.string(), z.number()]).nullish(),
  traceId: z.string().nullish(),
  requestId: z.string().nullish(),
  /** Validation failures by field. */
  errors: z.record(z.string(), z.array(z.string())).nullish().catch(undefined),
};

/** Any error body: the ARM envelope, problem+json, or both in one as our host writes them on the data plane. */
export const errorBody = z.looseObject(bodyShape);
export type ErrorBody = z.input<z.ZodObject<typeof bodyShape>>;

export interface ReadError {
  code?: string;
  message?: string;
  field?: string;
  hint?: string;
  traceId?: string;
  requestId?: string;
}

/** The facts of an error body of whatever form; empty for a body that is none (Azure's 403 has no body at all). */
export function readErrorBody(body: unknown): ReadError {
  const parsed = errorBody.safeParse(body);
  if (!parsed.success) return typeof body === "string" && body.trim() ? { message: body.trim().slice(0, 500) } : {};
  const { error, errors, errorCode, title, detail, traceId, requestId } = parsed.data;
  const envelope = typeof error === "string" ? { message: error } : (error ?? {});
  const [field, texts] = Object.entries(errors ?? {})[0] ?? [];
  const word = title && /^[A-Za-z]+$/.test(title) ? title : undefined;
  return dropEmpty({
    code: ("code" in envelope && envelope.code) || (typeof errorCode === "string" && errorCode) || word,
    message: envelope.message || detail || texts?.[0] || (word ? undefined : title),
    field: ("target" in envelope && envelope.target) || field,
    hint: "hint" in envelope && envelope.hint,
    traceId,
    requestId,
  });
}

function dropEmpty(record: Record<string, unknown>): ReadError {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => typeof value === "string" && value !== ""));
}
