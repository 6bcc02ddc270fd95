import { registerHooks } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

let hooked = false;

/** A module of the sources, `test/azure/double/azureDouble`, whose imports are written without an extension. */
export async function source<T>(path: string): Promise<T> {
  if (!hooked)
    registerHooks({ resolve: (name, context, next) => next(withExtension(name, context.parentURL), context) });
  hooked = true;
  return (await import(pathToFileURL(join(process.cwd(), `${path}.ts`)).href)) as T;
}

function withExtension(name: string, parent: string | undefined): string {
  const isOurs = parent?.endsWith(".ts") && !parent.includes("/node_modules/");
  return isOurs && name.startsWith(".") && !/\.[cm]?[jt]s$/.test(name) ? `${name}.ts` : name;
}
