import { type DoctorCheck, inspectMachine } from "../host/vm/doctor";
import { parseArguments } from "./arguments";
import { type Command, usageError } from "./command";

const hint = "sandboxes doctor [--json]";

/** `sandboxes doctor`: whether this machine can be a host, and what to mend. */
export const doctorCommand: Command = {
  name: "doctor",
  summary: "tell what this machine can do, and what to mend",
  usage: `sandboxes doctor [--json]

Changes nothing. Exit code 1 when sandboxes cannot run here.

  --json             print JSON`,

  async run(argv, io) {
    const { values, positionals } = parseArguments(argv, {}, hint);
    if (positionals.length > 0) throw usageError(`What is "${positionals[0]}"?`, hint);
    const report = await inspectMachine({ dataDirectory: io.environment.SANDBOXES_DATA_DIR || undefined });
    if (values.json) io.stdout.write(`${JSON.stringify(report)}\n`);
    else {
      io.stdout.write(report.checks.map(lines).join(""));
      io.stdout.write(report.ok ? "Sandboxes can run here.\n" : "Sandboxes cannot run here yet.\n");
    }
    return report.ok ? 0 : 1;
  },
};

function lines({ name, ok, found, mend, required }: DoctorCheck): string {
  const mark = ok ? "ok     " : required ? "MISSING" : "absent ";
  return `${mark}  ${name}: ${found}\n${mend ? `         → ${mend}\n` : ""}`;
}
