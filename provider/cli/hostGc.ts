import { ensureEmbeddedHost } from "../client/embeddedHost";
import { resolveConnection } from "../client/resolveConnection";
import { SandboxApi } from "../client/sandboxApi";
import type { GarbageItem, GarbageView } from "../client/wire/garbage";
import { type HostCommand, usageError } from "./command";
import { parseHostArguments } from "./hostArguments";
import { formatTable } from "./table";

const hint = "sandboxes host gc [--dry-run] [--data DIR | --endpoint ADDR]";
const options = { "dry-run": { type: "boolean" }, endpoint: { type: "string" } } as const;

/** `sandboxes host gc`: gives back what nothing uses. */
export const hostGc: HostCommand = {
  usage: `sandboxes host gc [--dry-run] [--data DIR | --endpoint ADDR] [--json]
  removes images that no disk image, sandbox or snapshot uses, their templates and those that an upgrade left behind,
  and downloads that were cut off; sandboxes that run or are created meanwhile go on
  --dry-run            tells what would go, and removes nothing
  --endpoint ADDR      another host than the embedded one (SANDBOXES_ENDPOINT, SANDBOXES_TOKEN, SANDBOXES_CA_FILE)`,

  async run(argv, io) {
    const { values, positionals } = parseHostArguments(argv, options, hint);
    if (positionals.length > 0) throw usageError(`What is "${positionals[0]}"?`, hint);
    if (values.data !== undefined && values.endpoint !== undefined) {
      throw usageError("--data and --endpoint exclude each other", hint);
    }
    const { signal, environment } = io;
    const embedded = values.data === undefined ? undefined : await ensureEmbeddedHost({ dataDir: values.data, signal });
    const endpoint = embedded?.endpoint ?? values.endpoint;
    const api = new SandboxApi(await resolveConnection({ target: "microvm", endpoint, signal }, environment));
    const collected = await api.collectGarbage({ dryRun: values["dry-run"], signal });
    io.stdout.write(values.json ? `${JSON.stringify(collected)}\n` : describe(collected));
    return 0;
  },
};

function describe({ dryRun, items, sizeBytes }: GarbageView): string {
  if (items.length === 0) return "nothing to remove\n";
  const count = items.length === 1 ? "1 thing" : `${items.length} things`;
  return `${formatTable(["KIND", "ID", "MB", "ABOUT"], items.map(row))}${dryRun ? "would remove" : "removed"} ${count}, ${megabytes(sizeBytes)} MB\n`;
}

function row({ kind, id, sizeBytes, about }: GarbageItem): string[] {
  return [kind, id.replace("sha256:", "").slice(0, 16), megabytes(sizeBytes), about ?? ""];
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
