import { z } from "zod";

/** A secret's id is the caller's: 3 to 64 letters, digits and dashes. */
export const secretId = z
  .string()
  .regex(/^[A-Za-z0-9-]{3,64}$/, "a secret's id has 3 to 64 letters, digits and dashes");

/** `PUT …/secrets/{id}`: replaces all keys. */
export const putSecretContent = z.looseObject({ values: z.record(z.string().min(1), z.string()) });
export interface PutSecretContent {
  values: Record<string, string>;
}

const secretShape = {
  id: z.string(),
  /** Names of the values; Azure's lists leave them out. */
  keys: z.array(z.string()).nullish(),
  createdAt: z.string().nullish(),
  updatedAt: z.string().nullish(),
};

/** A secret as read: never its values. */
export const secretView = z.looseObject(secretShape);
export type SecretView = z.output<z.ZodObject<typeof secretShape>>;

/** `{secrets, nextLink}`, in both api-versions; a page of the common form reads too. Reads to `{value, nextLink}`. */
export const secretPage = z
  .looseObject({
    secrets: z.array(secretView).nullish(),
    value: z.array(secretView).nullish(),
    nextLink: z.string().nullish(),
  })
  .transform(({ secrets, value, nextLink }) => ({
    value: secrets ?? value ?? [],
    nextLink: nextLink ?? undefined,
  }));

/** `GET …/secrets/{id}/keys`. */
export const secretKeysView = z.looseObject({ keys: z.array(z.string()) });

/** `POST …/secrets/{id}/peek`: the values themselves. */
export const secretPeekView = z.looseObject({ values: z.record(z.string(), z.string()) });
