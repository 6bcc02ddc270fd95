import { isMissing } from "../client/failures";
import type { SecretsApi } from "../client/groupSecrets";

/**
 * Secrets have no labels, and a further value in one would break what names a secret without a key. So a secret with a
 * name of the user's own is accompanied by a second one, `pulumi-<key>`, whose keys are the names that are ours. It is
 * written before the secret is, and goes with it.
 */
const markOf = (key: string) => `pulumi-${key}`;

/** True when the resource of that key has announced that it makes this one. */
export async function isMarkedAsOurs(secrets: SecretsApi, key: string | undefined, name: string): Promise<boolean> {
  return key !== undefined && (await marked(secrets, key)).includes(name);
}

/** Announces it. Repeatable. Without a key nothing is marked, and what is made is never taken over. */
export async function markAsOurs(secrets: SecretsApi, key: string | undefined, name: string): Promise<void> {
  if (!key) return;
  const names = await marked(secrets, key);
  if (!names.includes(name)) await secrets.put(markOf(key), valuesOf([...names, name]));
}

/** Takes it back. Repeatable. */
export async function unmark(secrets: SecretsApi, key: string | undefined, name: string): Promise<void> {
  if (!key) return;
  const names = await marked(secrets, key);
  if (!names.includes(name)) return;
  const left = names.filter((other) => other !== name);
  await (left.length > 0 ? secrets.put(markOf(key), valuesOf(left)) : secrets.delete(markOf(key)));
}

/** While one replaces another, both. */
async function marked(secrets: SecretsApi, key: string): Promise<string[]> {
  return secrets.keys(markOf(key)).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
}

/** Only the keys say something. */
function valuesOf(names: string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, "made by Pulumi"]));
}
