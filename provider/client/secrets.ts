/** Texts that must not be seen in any message: secrets of the configuration, tokens. For the life of the process. */
const known = new Set<string>();

/** Shorter ones would strike out innocent words, and are no secrets. */
const shortest = 6;

/** From now on `scrub` strikes the text out. Repeatable. */
export function registerSecret(text: string | undefined): void {
  for (const part of [text, text?.trim()]) if (part && part.length >= shortest) known.add(part);
}

/** The text without any registered secret, also where one was escaped for a URL. */
export function scrub(text: string): string {
  let clean = text;
  // The longest first: one secret may be part of another.
  for (const secret of [...known].sort((a, b) => b.length - a.length)) {
    for (const form of new Set([secret, encodeURIComponent(secret)])) clean = clean.replaceAll(form, "[secret]");
  }
  return clean;
}
