import { resolve } from "node:path";
import { isGuid } from "../client/wire/identifiers";
import type { CheckFailure } from "../pulumi/checkInputs";
import type { PropertyBag } from "../pulumi/propertyBag";
import { readMemberId } from "./ids";

const sources = ["image", "sandbox", "blob"];
/** What goes with which source only; all else has it from what it is made of. */
const settledBy: Record<string, readonly string[]> = {
  image: [],
  sandbox: ["credentials", "identity", "vnetConnection", "entrypoint", "cmd", "warmUp"],
  blob: ["credentials", "identity", "entrypoint", "cmd", "warmUp"],
};
const reasons: Record<string, string> = {
  sandbox: "an image of a sandbox's files has what the sandbox's own image has: leave it out",
  blob: "it goes with image only",
};

/** What is wrong with the choice of what an image is made of. */
export function imageFailures(inputs: PropertyBag): CheckFailure[] {
  const given = sources.filter((name) => inputs[name] !== undefined);
  const [source] = given;
  if (!source || given.length > 1) {
    return [{ property: given[1] ?? "image", reason: "give one of image, sandbox and blob" }];
  }
  const extra = (settledBy[source] ?? []).filter((name) => inputs[name] !== undefined);
  const failures = extra.map((name) => failure(name, reasons[source] ?? ""));
  if (source === "image" && inputs.credentials !== undefined && inputs.identity !== undefined) {
    failures.push(failure("identity", "give one of credentials and identity"));
  }
  return failures;
}

/** The GUID of a sandbox, given by its resource's id or by itself; undefined for other text. */
export function sandboxIdOf(sandbox: string): string | undefined {
  return readMemberId(sandbox, "sandboxes")?.memberId ?? (isGuid(sandbox) ? sandbox : undefined);
}

/** A reference as registries shorten it: `docker.io/library/python:latest` is `python`. */
export function plainReference(reference: string): string {
  return reference
    .replace(/^docker\.io\//, "")
    .replace(/^library\//, "")
    .replace(/:latest$/, "");
}

/** A local path is taken from the folder of the program, whichever process asks for it. */
export function absoluteReference(reference: string): string {
  const local = /^(oci|docker-archive|rootfs):(.+)$/.exec(reference);
  return local ? `${local[1]}:${resolve(local[2]!)}` : reference;
}

/** The engine prints the value of the property that a failure names, which must not be a secret. */
function failure(name: string, reason: string): CheckFailure {
  return name === "credentials" ? { property: "", reason: `credentials: ${reason}` } : { property: name, reason };
}
