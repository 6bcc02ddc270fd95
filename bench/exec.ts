import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "undici";
import type * as Embedded from "../provider/client/embeddedHost";
import type * as Runtime from "../provider/runtime";
import type { Group, Sandbox } from "../provider/runtime";
import { built } from "./built.ts";
import { createReport, type Report, type Result } from "./report.ts";

export interface ExecBenchOptions {
  /** Default 30. */
  rounds?: number;
}

const image = "python";
const echo = ["/bin/echo", "hi"];
const raw = "raw HTTP: echo";

/**
 * What the layers above the guest cost: the same program in the same sandbox through the runtime and by bare HTTP on
 * the host's socket, in turns.
 */
export async function benchExec({ rounds = 30 }: ExecBenchOptions = {}): Promise<Result[]> {
  const { ensureEmbeddedHost, stopEmbeddedHost } = built<typeof Embedded>("client/embeddedHost");
  const { connect } = built<typeof Runtime>("runtime");
  const dataDir = await mkdtemp(join(tmpdir(), "sandboxes-bench-"));
  try {
    const { endpoint } = await ensureEmbeddedHost({ dataDir });
    const group = await connect({ endpoint });
    const sandbox = await group.createSandbox({ image });
    const call = rawExec(endpoint.slice("unix:".length), group, sandbox);
    const report = createReport({ title: `Running a program (isolation: ${group.isolation})`, baseline: raw });
    for (const work of [call, () => sandbox.exec(echo)]) await work();
    for (let round = 0; round < rounds; round++) await runRound(report, sandbox, call);
    await call.close();
    await group.close();
    return report.finish();
  } finally {
    await stopEmbeddedHost({ dataDir });
    await rm(dataDir, { recursive: true });
  }
}

async function runRound(report: Report, sandbox: Sandbox, call: () => Promise<void>): Promise<void> {
  await report.time(raw, call);
  await report.time("runtime: echo", () => sandbox.exec(echo, { check: true }));
  await report.time("runtime: echo, streamed", () => sandbox.exec(echo, { check: true, onStdout: () => {} }));
  await report.time("runtime: echo, 8 at once", () =>
    Promise.all(Array.from({ length: 8 }, () => sandbox.exec(echo, { check: true }))),
  );
  await report.time("runtime: echo, in the background", async () => {
    await sandbox.background.start(echo);
  });
  await report.time("runtime: file written and read", async () => {
    await sandbox.files.write("/tmp/bench", "hi");
    await sandbox.files.readText("/tmp/bench");
  });
}

/** The least that a caller can do: one kept connection, one POST, one JSON answer. */
function rawExec(
  socketPath: string,
  group: Group,
  sandbox: Sandbox,
): (() => Promise<void>) & { close(): Promise<void> } {
  const client = new Client("http://localhost", { socketPath });
  const [command, ...args] = echo;
  const path = `${group.id.replace("/providers/Microsoft.App", "")}/sandboxes/${sandbox.id}/executeCommand`;
  const request = {
    method: "POST",
    path: `${path}?api-version=2026-02-01-preview`,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ command, args }),
  } as const;
  const call = async () => {
    const { body } = await client.request(request);
    const result = (await body.json()) as { exitCode?: number; stdout?: string };
    if (result.exitCode !== 0 || result.stdout !== "hi\n") throw new Error(`not run: ${JSON.stringify(result)}`);
  };
  return Object.assign(call, { close: () => client.close() });
}
