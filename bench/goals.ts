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
    says: "a clone answers its first program so many times faster than a cold boot",
    value: (of) => quotient(of(cold), of("clone -> echo")),
    limit: { atLeast: 10 },
    unit: "",
  },
  {
    says: "a paused clone answers a program so many times faster than a cold boot",
    value: (of) => quotient(of(cold), of("paused clone -> echo")),
    limit: { atLeast: 40 },
    unit: "",
  },
  {
    says: "a paused clone's agent answers",
    value: (of) => of("paused clone -> agent answers"),
    limit: { atMost: 5 },
    unit: "ms p50",
  },
  {
    says: "a second sandbox of an image, from the call to its first output",
    value: (of) => of("end to end: createSandbox -> exec", "p95"),
    limit: { atMost: 300 },
    unit: "ms p95",
  },
  {
    says: "memory of an idle clone among 50",
    value: (of) => of("512 MiB, idle", "p95"),
    limit: { atMost: 25 },
    unit: "MiB p95",
  },
  {
    says: "processor time of an idle clone",
    value: (of) => of("512 MiB, idle: processor", "p95"),
    limit: { atMost: 0 },
    unit: "ms/s p95",
  },
  {
    says: "the first of 20 clones asked for at once is ready so much of the time before the last",
    value: (of) => quotient(of("first of 20 -> echo"), of("last of 20 -> echo")),
    limit: { atMost: 0.2 },
    unit: "of the last's time",
  },
  ...["1 plain layer", "1 gzip layer", "3 gzip layers"].map((layers) => ({
    says: `import of an image of ${layers}, beside sqfstar alone`,
    value: (of: Lookup) => quotient(of(layers), of("sqfstar alone")),
    limit: { atMost: 3 },
    unit: "times its time",
  })),
];

/** Says which goals this run measured, and whether it kept them; times are only fair on a machine with nothing else to do. */
export function printGoals(results: Result[]): void {
  const of: Lookup = (name, figure = "p50") => results.find((result) => result.name === name)?.[figure];
  const lines = goals.flatMap(({ says, value, limit, unit }) => {
    const measured = value(of);
    if (measured === undefined) return [];
    const kept = "atMost" in limit ? measured <= limit.atMost : measured >= limit.atLeast;
    const wanted = "atMost" in limit ? `at most ${limit.atMost}` : `at least ${limit.atLeast}`;
    return [`  ${kept ? "kept  " : "MISSED"}  ${says}: ${Number(measured.toPrecision(3))} ${unit} (${wanted})\n`];
  });
  if (lines.length > 0) process.stdout.write(`\nGoals\n${lines.join("")}`);
}

function quotient(dividend: number | undefined, divisor: number | undefined): number | undefined {
  return dividend === undefined || divisor === undefined ? undefined : dividend / divisor;
}
