import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";

// Tests and benchmarks run in the folder of the repository.
const root = process.cwd();

/** Far above the slowest on a busy machine where no image has to be made first, below the limit of a test. */
const usualLimitMs = 400_000;

export interface PulumiRun {
  exitCode: number | null;
  stdout: string;
  stderr: string;
}

export interface StateResource {
  urn: string;
  type: string;
  id?: string;
  inputs?: Record<string, unknown>;
  outputs?: Record<string, unknown>;
}

/** A Pulumi project with a stack of its own, driven by the real command line; its state is in its folder. */
export class PulumiProject {
  readonly folder: string;
  /** After so long a run is ended. */
  limitMs = usualLimitMs;
  /** Of the command line and of all it starts. */
  readonly env: NodeJS.ProcessEnv;

  private constructor(folder: string, env: NodeJS.ProcessEnv) {
    this.folder = folder;
    this.env = env;
  }

  /** `program` is the text of a CommonJS program; `config` is set without secrets. Dispose of it when done. */
  static async create(program: string, config: Record<string, string> = {}): Promise<PulumiProject> {
    const folder = await mkdtemp(join(tmpdir(), "stack-"));
    const bin = join(folder, "bin");
    await Promise.all(["bin", "state", "home"].map((name) => mkdir(join(folder, name))));
    await linkPackages(folder);
    await symlink(await pulumiExecutable(), join(bin, "pulumi"));
    await cp(join(root, "tools/languageHost/pulumi-language-nodejs"), join(bin, "pulumi-language-nodejs"));
    const dynamicHost = "pulumi-resource-pulumi-nodejs";
    await cp(join(root, "node_modules/@pulumi/pulumi", dynamicHost), join(bin, dynamicHost));
    await symlink(process.execPath, join(bin, "node"));
    const project = new PulumiProject(folder, hermetic(folder, bin));
    await project.write(program);
    const lines = Object.entries(config).map(([key, value]) => `  ${key}: ${JSON.stringify(value)}`);
    await writeFile(join(folder, "Pulumi.test.yaml"), `config:\n${lines.join("\n")}\n`);
    await project.configure("index.js", { typescript: false });
    await project.ok("stack", "init", "test");
    return project;
  }

  /** Replaces the program. */
  async write(program: string): Promise<void> {
    await writeFile(join(this.folder, "index.js"), `"use strict";\n${program}`);
  }

  /** Names the program's file and the options of its runtime. */
  async configure(main: string, options: Record<string, unknown>): Promise<void> {
    const project = { name: "e2e", main, runtime: { name: "nodejs", options } };
    await writeFile(join(this.folder, "Pulumi.yaml"), JSON.stringify(project));
  }

  /** Runs `pulumi`, whatever it exits with; null when it had to be ended because it took too long. */
  run(...args: string[]): Promise<PulumiRun> {
    const child = spawn(join(this.folder, "bin/pulumi"), [...args, "--non-interactive", "--color=never"], {
      cwd: this.folder,
      env: this.env,
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own, so that what it started can be ended with it.
      detached: true,
    });
    const output = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text) => (output.stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text) => (output.stderr += text));
    const limit = setTimeout(() => process.kill(-child.pid!, "SIGKILL"), this.limitMs);
    return new Promise<PulumiRun>((settle, reject) => {
      child.once("error", reject);
      child.once("close", (exitCode) => settle({ exitCode, ...output }));
    }).finally(() => clearTimeout(limit));
  }

  /** As `run`; throws with the output unless it exits with 0. */
  async ok(...args: string[]): Promise<PulumiRun> {
    const result = await this.run(...args);
    if (result.exitCode === 0) return result;
    throw new Error(`pulumi ${args.join(" ")} exited with ${result.exitCode}\n${result.stdout}\n${result.stderr}`);
  }

  up(...args: string[]): Promise<PulumiRun> {
    return this.ok("up", "--yes", "--skip-preview", "--diff", ...args);
  }

  destroy(): Promise<PulumiRun> {
    return this.ok("destroy", "--yes", "--skip-preview");
  }

  /** How often each operation stands in the plan: `{ same: 4 }`, `{ create: 1, delete: 1 }`. */
  async plan(...args: string[]): Promise<Record<string, number>> {
    const { stdout } = await this.ok("preview", "--json", ...args);
    return JSON.parse(stdout).changeSummary;
  }

  /** Exit code 7 means that something has changed outside of Pulumi. */
  drift(): Promise<PulumiRun> {
    return this.run("refresh", "--preview-only", "--expect-no-changes", "--diff");
  }

  async state(): Promise<StateResource[]> {
    const { stdout } = await this.ok("stack", "export");
    return JSON.parse(stdout).deployment.resources ?? [];
  }

  /** The resources that are ours, by their names in the program. */
  async ours(): Promise<Record<string, StateResource>> {
    const ours = (await this.state()).filter(({ type }) => type.startsWith("pulumi-nodejs:dynamic/sandboxes:"));
    return Object.fromEntries(ours.map((resource) => [resource.urn.split("::").at(-1), resource]));
  }

  async outputs(): Promise<Record<string, string>> {
    return JSON.parse((await this.ok("stack", "output", "--json")).stdout);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

function hermetic(folder: string, bin: string): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(PULUMI|SANDBOXES)_/.test(name) || name === "SANDBOXES_TEST_RUN",
  );
  return {
    ...Object.fromEntries(inherited),
    PATH: [bin, process.env.PATH].join(delimiter),
    PULUMI_BACKEND_URL: `file://${folder}/state`,
    PULUMI_HOME: join(folder, "home"),
    PULUMI_CONFIG_PASSPHRASE: "",
    PULUMI_SKIP_UPDATE_CHECK: "1",
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    PULUMI_STACK: "test",
  };
}

/** The packages of the repository, linked one by one, so that a test can put another in the place of one. */
async function linkPackages(folder: string): Promise<void> {
  const target = join(folder, "node_modules");
  await mkdir(target);
  for (const name of await readdir(join(root, "node_modules"))) {
    const source = name === "pulumi-sandboxes" ? root : join(root, "node_modules", name);
    await symlink(source, join(target, name));
  }
}

/** The command line on PATH, else the one that `make` keeps. */
async function pulumiExecutable(): Promise<string> {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  const folders = [...(process.env.PATH ?? "").split(delimiter), join(cache, "pulumi-sandboxes/bin")];
  for (const folder of folders.filter(Boolean)) {
    const found = await realpath(join(folder, "pulumi")).catch(() => undefined /* not there: the next one */);
    if (found) return found;
  }
  throw new Error("There is no pulumi on PATH: run `make test`, which brings one, or install it");
}
