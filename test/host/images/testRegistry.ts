import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TestRegistry {
  /** `127.0.0.1:PORT` */
  host: string;
  close(): Promise<void>;
}

/** Starts Debian's docker-registry on a free port of this machine; with `htpasswd` (its file's text) it asks who calls. */
export async function startRegistry(htpasswd?: string): Promise<TestRegistry> {
  const work = await mkdtemp(join(tmpdir(), "registry-"));
  const config = {
    version: 0.1,
    log: { level: "info", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(work, "storage") }, delete: { enabled: true } },
    http: { addr: "127.0.0.1:0" },
    ...(htpasswd !== undefined && { auth: { htpasswd: { realm: "test", path: join(work, "htpasswd") } } }),
  };
  await writeFile(join(work, "htpasswd"), htpasswd ?? "");
  // YAML is a superset of JSON.
  await writeFile(join(work, "config.yml"), JSON.stringify(config));
  const child = spawn("docker-registry", ["serve", join(work, "config.yml")], { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  // It says where it listens; a port that was chosen before might be another's by then.
  let host: string | undefined;
  child.stderr.setEncoding("utf8").on("data", (text) => {
    said = (said + text).slice(-2000);
    host ??= /listening on (127\.0\.0\.1:\d+)/.exec(said)?.[1];
  });
  const ended = new Promise<void>((resolve) => {
    child.once("error", (error) => {
      said += error.message;
      resolve();
    });
    child.once("exit", () => resolve());
  });
  let alive = true;
  void ended.then(() => {
    alive = false;
  });
  while (host === undefined || !(await answers(host))) {
    if (!alive) throw new Error(`docker-registry did not start: ${said}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    host,
    async close() {
      child.kill();
      await ended;
      await rm(work, { recursive: true });
    },
  };
}

async function answers(host: string): Promise<boolean> {
  return fetch(`http://${host}/v2/`).then(
    ({ status }) => status === 200 || status === 401,
    () => false,
  );
}
