import { spawn } from "node:child_process";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { localSubscriptionId } from "../provider/client/localNames";
import { createMemoryDriver } from "../provider/host/vm/memory";
import { RunningHost } from "./host/fakes/runningHost";

const root = join(__dirname, "..");
const host = new RunningHost();
beforeAll(async () => {
  await host.start({ driver: await createMemoryDriver({ dataDirectory: host.dataDir }) });
});
afterAll(() => host.close());

test("README's program prints what README says and leaves no sandbox", async () => {
  const child = spawn(process.execPath, ["examples/runCode.mts"], {
    cwd: root,
    env: { ...process.env, SANDBOXES_ENDPOINT: `unix:${host.socket}` },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise((settle) => child.once("close", settle)),
  ]);
  expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
  expect(stdout).toMatch(/^42 \(exit code 0, \d+ ms, isolation none\)\nasleep\n\{ timedOut: true \}\n$/);
  const group = `/subscriptions/${localSubscriptionId}/resourceGroups/local/sandboxGroups/default`;
  const left = await host.call("GET", `${group}/sandboxes`);
  expect([left.status, left.body]).toEqual([200, []]);
});
