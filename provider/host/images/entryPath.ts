import { SandboxesError } from "../../client/errors";
import { printable } from "./tar/tarEntry";

/**
 * The components of an entry's name inside the image; none for the root itself. Refuses names that leave the image
 * (`..`, absolute) instead of repairing them: no honest tool writes them, and each engine repairs them differently.
 */
export function entryComponents(name: string, limits: { pathBytes: number; nameBytes: number }): string[] {
  if (name.length > limits.pathBytes) {
    throw invalid(`an entry's path has ${name.length} bytes; at most ${limits.pathBytes} are allowed`);
  }
  if (name.includes("\0")) throw invalid(`the entry name ${printable(name)} holds a NUL`);
  // "/" alone is how some builders name the root.
  if (name.startsWith("/") && /[^/]/.test(name)) throw invalid(`the entry name ${printable(name)} is absolute`);
  const components = name.split("/").filter((component) => component !== "" && component !== ".");
  for (const component of components) {
    if (component === "..") throw invalid(`the entry name ${printable(name)} holds ".."`);
    if (component.length > limits.nameBytes) {
      throw invalid(`an entry's name has ${component.length} bytes; at most ${limits.nameBytes} are allowed`);
    }
  }
  return components;
}

function invalid(message: string): SandboxesError {
  return new SandboxesError("ImageInvalid", message);
}
