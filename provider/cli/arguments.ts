import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { usageError } from "./command";

/** Options that every command has. */
export const commonOptions = {
  json: { type: "boolean" },
  endpoint: { type: "string" },
  group: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const satisfies ParseArgsOptionsConfig;

/** What `--help` says of them. */
export const commonUsage = `  --json             print JSON
  --endpoint ADDR    unix:/path or https://host:port (SANDBOXES_ENDPOINT); default: the embedded host
  --group NAME       sandbox group (SANDBOXES_GROUP); default: "default"`;

type Values<Options extends ParseArgsOptionsConfig> = ReturnType<
  typeof parseArgs<{ options: Options & typeof commonOptions; allowPositionals: true }>
>["values"];

export interface ParsedArguments<Options extends ParseArgsOptionsConfig> {
  values: Values<Options>;
  positionals: string[];
  /** What follows `--`; undefined without one. */
  rest: string[] | undefined;
}

/** Reads a command line; anything unknown is a usage error with `hint`. */
export function parseArguments<Options extends ParseArgsOptionsConfig>(
  argv: string[],
  options: Options,
  hint: string,
): ParsedArguments<Options> {
  const end = argv.indexOf("--");
  const own = end < 0 ? argv : argv.slice(0, end);
  try {
    const parsed = parseArgs({ args: own, options: { ...commonOptions, ...options }, allowPositionals: true });
    return {
      values: parsed.values as Values<Options>,
      positionals: parsed.positionals,
      rest: end < 0 ? undefined : argv.slice(end + 1),
    };
  } catch (error) {
    throw usageError(error instanceof Error ? error.message : String(error), hint);
  }
}

/** Reads `KEY=VALUE` texts of a repeatable option. */
export function parsePairs(texts: readonly string[] = [], option: string, hint: string): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf("=");
      if (at < 1) throw usageError(`"${text}" of ${option} is not KEY=VALUE`, hint);
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}
