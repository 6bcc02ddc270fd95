import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** One line of `bench/results/latest.jsonl`. */
export interface Result {
  name: string;
  unit: string;
  p50: number;
  p95: number;
  n: number;
  /** The result that `ratio` divides by; absolute figures of two machines or two hours cannot be compared. */
  ratioTo: string | null;
  /** p50 by p50. */
  ratio: number | null;
}

/** Collects samples under names; `finish` prints a table and appends the results as JSON lines. */
export interface Report {
  add(name: string, value: number): void;
  /** Runs the work and adds the milliseconds it took. */
  time<T>(name: string, work: () => Promise<T>): Promise<T>;
  finish(): Result[];
}

export interface ReportOptions {
  title: string;
  /** Default `ms`. */
  unit?: string;
  /** Name of the result that all others are compared with. */
  baseline?: string;
}

export function createReport(options: ReportOptions): Report {
  const { title, unit = "ms", baseline } = options;
  const samples = new Map<string, number[]>();
  const add = (name: string, value: number): void => {
    const known = samples.get(name);
    if (known) known.push(value);
    else samples.set(name, [value]);
  };
  return {
    add,
    async time(name, work) {
      const started = performance.now();
      const result = await work();
      add(name, performance.now() - started);
      return result;
    },
    finish() {
      const results = [...samples].map(([name, values]) => summarise(name, unit, values));
      const base = results.find((result) => result.name === baseline);
      for (const result of results) {
        if (!base || result === base) continue;
        result.ratioTo = base.name;
        result.ratio = rounded(result.p50 / base.p50);
      }
      process.stdout.write(table(title, results));
      save(results);
      return results;
    },
  };
}

function summarise(name: string, unit: string, values: number[]): Result {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part: number): number => rounded(sorted[Math.ceil(part * sorted.length) - 1] ?? Number.NaN);
  return { name, unit, p50: at(0.5), p95: at(0.95), n: values.length, ratioTo: null, ratio: null };
}

/** Three digits tell all that a benchmark can. */
function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

function table(title: string, results: Result[]): string {
  const width = Math.max(...results.map((result) => result.name.length));
  const row = (cells: (string | number)[]): string =>
    `  ${String(cells[0]).padEnd(width)}${cells
      .slice(1)
      .map((cell) => String(cell).padStart(10))
      .join("")}\n`;
  const base = results.find((result) => result.ratioTo)?.ratioTo;
  const head = row(["", `p50 ${results[0]?.unit ?? ""}`, "p95", "n", "ratio"]);
  const rows = results.map(({ name, p50, p95, n, ratio }) => row([name, p50, p95, n, ratio ?? "-"]));
  return `\n${title}${base ? `, ratio to "${base}"` : ""}\n${head}${rows.join("")}`;
}

/** What all benchmarks of this run have found so far. */
export function readResults(): Result[] {
  if (!existsSync(resultsFile())) return [];
  const lines = readFileSync(resultsFile(), "utf8").split("\n").filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Result);
}

export function resultsFile(): string {
  return join(process.cwd(), "bench", "results", "latest.jsonl");
}

function save(results: Result[]): void {
  mkdirSync(dirname(resultsFile()), { recursive: true });
  appendFileSync(resultsFile(), results.map((result) => `${JSON.stringify(result)}\n`).join(""));
}
