import { createHash, timingSafeEqual } from "node:crypto";
import { SandboxesError } from "../../client/errors";

/** Checks an `Authorization` header in a time that does not depend on what is wrong; throws `Unauthorized`. */
export function authorize(token: string | undefined, header: string | undefined): void {
  if (token === undefined) return;
  const sent = /^Bearer +(\S+) *$/i.exec(header ?? "")?.[1];
  // Digests have one length, which timingSafeEqual wants, and so hide the token's own.
  if (timingSafeEqual(digest(sent ?? ""), digest(token)) && sent !== undefined) return;
  throw new SandboxesError(
    "Unauthorized",
    header ? "The bearer token is not this host's" : "A bearer token is needed",
    {
      hint: "set SANDBOXES_TOKEN, or sandboxes:token in the stack's configuration",
    },
  );
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
