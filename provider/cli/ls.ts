import type { SandboxView } from "../client/wire/sandboxes";
import { commonUsage, parseArguments, parsePairs } from "./arguments";
import { type Command, usageError } from "./command";
import { formatTable } from "./table";
import { openTarget } from "./target";

const hint = "sandboxes ls [--label KEY=VALUE]…";

/** `sandboxes ls`: the sandboxes of a group. */
export const lsCommand: Command = {
  name: "ls",
  summary: "list sandboxes",
  usage: `sandboxes ls [options]

  -l, --label KEY=VAL  only sandboxes that carry the label, repeatable
${commonUsage}`,

  async run(argv, io) {
    const { values, positionals } = parseArguments(
      argv,
      { label: { type: "string", short: "l", multiple: true } },
      hint,
    );
    if (positionals.length > 0) throw usageError(`What is "${positionals[0]}"?`, hint);
    const labels = parsePairs(values.label, "--label", hint);
    const { api } = await openTarget(values, io);
    const sandboxes = await api.sandboxes.list({ labels, signal: io.signal });
    if (values.json) io.stdout.write(`${JSON.stringify(sandboxes)}\n`);
    else
      io.stdout.write(formatTable(["ID", "STATE", "IMAGE", "CPU", "MEMORY", "CREATED", "LABELS"], sandboxes.map(row)));
    return 0;
  },
};

function row({ id, state, sourcesRef, resources, createdAt, labels }: SandboxView): string[] {
  const image = sourcesRef?.diskImage?.name ?? sourcesRef?.diskImage?.id ?? sourcesRef?.snapshot?.id ?? "";
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return [id, state, image, resources?.cpu ?? "", resources?.memory ?? "", createdAt ?? "", pairs.join(",")];
}
