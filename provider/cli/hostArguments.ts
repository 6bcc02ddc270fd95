import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { usageError } from "./command";

const common = { data: { type: "string" }, json: { type: "boolean" } } as const;

type Values<Options extends ParseArgsOptionsConfig> = ReturnType<
  typeof parseArgs<{ options: Options & typeof common; allowPositionals: true }>
>["values"];

/** Options of `sandboxes host …`, which knows a data directory instead of an endpoint and a group. */
export function parseHostArguments<Options extends ParseArgsOptionsConfig>(
  argv: string[],
  options: Options,
  hint: string,
): { values: Values<Options>; positionals: string[] } {
  try {
    const parsed = parseArgs({ args: argv, options: { ...common, ...options }, allowPositionals: true });
    return { values: parsed.values as Values<Options>, positionals: parsed.positionals };
  } catch (error) {
    throw usageError(error instanceof Error ? error.message : String(error), hint);
  }
}
