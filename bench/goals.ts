import type { Result } from "./report.ts";

interface Goal {
  says: string;
  /** Undefined where the run did not measure what it takes. */
  value(of: Lookup): number | undefined;
  /** Whether that is good enough. */
  limit: { atMost: number } | { atLeast: number };
  unit: string;
}

type Figure = "p50" | "p95";
type Lookup = (name: string, figure?: Figure) => number | undefined;

const cold = "cold boot -> echo";

const goals: Goal[] = [
  {
    says: "cold boot / clone of a warmed template, to the first output",
    value: (of) => quotient(of(cold), of("clone -> echo")),
    limit: { atLeast: 10 },
    unit: "times, p50",
  },
  {
    says: "cold boot / paused clone, to the first output",
    value: (of) => quotient(of(cold), of("paused clone -> echo")),
    limit: { atLeast: 40 },
    unit: "times, p50",
  },
  {
    says: "paused clone, to its agent's answer",
    value: (of) => of("paused clone -> agent answers"),
    limit: { atMost: 5 },
    unit: "ms, p50",
  },
  {
    says: "second sandbox of an image, from the call to the first output",
    value: (of) => of("end to end: createSandbox -> exec", "p95"),
    limit: { atMost: 300 },
    unit: "ms, p95",
  },
  {
    says: "memory (PSS) of an idle clone among 50",
    value: (of) => of("512 MiB, idle", "p95"),
    limit: { atMost: 25 },
    unit: "MiB, p95",
  },
  {
    says: "processor time of an idle clone",
    value: (of) => of("512 MiB, idle: processor", "p95"),
    limit: { atMost: 0 },
    unit: "ms/s, p95",
  },
  {
    says: "first / last of 20 clones at once, to the first output",
    value: (of) => quotient(of("first of 20 -> echo"), of("last of 20 -> echo")),
    limit: { atMost: 0.2 },
    unit: "times, p50",
  },
  ...["rootfs tar", "1 plain layer", "1 gzip layer", "3 gzip layers"].map((layers) => ({
    says: `import of ${layers} / sqfstar alone`,
    value: (of: Lookup) => quotient(of(layers), of("sqfstar alone")),
    limit: { atMost: 3 },
    unit: "times, p50",
  })),
  {
    says: "no-op up of 200 resources / of 200 empty ones",
    value: (of) =>
      quotient(of("no-op up, 200 resources on Azure's double"), of("no-op up, 200 empty dynamic resources")),
    limit: { atMost: 1.1 },
    unit: "times, p50",
  },
  {
    says: "sandboxes lost to throttling, of 100 created at once",
    value: (of) => of("service that takes 12: sandboxes lost"),
    limit: { atMost: 0 },
    unit: "",
  },
];

/** Prints which goals this run measured and whether it kept them, in one table; none is asserted anywhere. */
export function printGoals(results: Result[]): void {
  const of: Lookup = (name, figure = "p50") => results.find((result) => result.name === name)?.[figure];
  const rows = goals.flatMap(({ says, value, limit, unit }) => {
    const measured = value(of);
    if (measured === undefined) return [];
    const kept = "atMost" in limit ? measured <= limit.atMost : measured >= limit.atLeast;
    const wanted = "atMost" in limit ? `at most ${limit.atMost}` : `at least ${limit.atLeast}`;
    return [[says, String(Number(measured.toPrecision(3))), wanted, unit, kept ? "kept" : "MISSED"]];
  });
  if (rows.length === 0) return;
  const lines = [["", "measured", "goal", "", ""], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...lines.map((row) => (row[column] ?? "").length)));
  const pad = (text: string, column: number): string =>
    column === 1 || column === 2 ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0);
  process.stdout.write(`\nGoals\n${lines.map((row) => `  ${row.map(pad).join("  ").trimEnd()}\n`).join("")}`);
}

function quotient(dividend: number | undefined, divisor: number | undefined): number | undefined {
  return dividend === undefined || divisor === undefined ? undefined : dividend / divisor;
}
