import type * as Double from "../test/azure/double/azureDouble";
import type { AzureDouble } from "../test/azure/double/azureDouble";
import type * as Project from "../test/e2e/pulumiProject";
import type { PulumiProject } from "../test/e2e/pulumiProject";
import { createReport, type Result } from "./report.ts";
import { source } from "./sources.ts";

export interface AzureBenchOptions {
  /** Default 7. */
  rounds?: number;
}

const resources = 200;
const empty = `no-op up, ${resources} empty dynamic resources`;
const ours = `no-op up, ${resources} resources on Azure's double`;

/** A group and what is in it, a fourth of it with secrets. */
const ourProgram = `
const { Sandbox, SandboxGroup } = require("pulumi-sandboxes");
const group = new SandboxGroup("lab", {});
for (let i = 1; i < ${resources}; i++) {
  new Sandbox("box-" + i, { group, image: "python", labels: { number: String(i) }, env: i % 4 ? undefined : { KEY: "value" } });
}
`;

/** As many resources that do nothing, with the same dependency on a first one. */
const emptyProgram = `
const pulumi = require("@pulumi/pulumi");
const provider = { async create() { return { id: "id", outs: {} }; } };
class Empty extends pulumi.dynamic.Resource {
  constructor(name, args, opts) { super(provider, name, args, opts); }
}
const first = new Empty("lab", {});
for (let i = 1; i < ${resources}; i++) new Empty("box-" + i, { group: first.id });
`;

const sandboxes = 100;
/** Fewer than are asked for, so that it has to throttle. */
const mostAtOnce = 12;

/** As many sandboxes as the engine may be asked for at once. */
const burstProgram = `
const { Sandbox, SandboxGroup } = require("pulumi-sandboxes");
const group = new SandboxGroup("lab", {});
for (let i = 0; i < ${sandboxes}; i++) new Sandbox("box-" + i, { group, image: "python" });
`;

export async function benchAzure(options: AzureBenchOptions = {}): Promise<Result[]> {
  return [...(await benchNoOp(options)), ...(await benchCreations())];
}

/** How many requests at once many creations become, and whether all survive a service that throttles. */
async function benchCreations(): Promise<Result[]> {
  return withDouble(async (double, create) => {
    const report = createReport({ title: `pulumi up --parallel ${sandboxes} of ${sandboxes} sandboxes`, unit: "" });
    for (const [service, limit] of [
      ["unlimited service", Number.POSITIVE_INFINITY],
      [`service that takes ${mostAtOnce}`, mostAtOnce],
    ] as const) {
      double.reset({ mostAtOnce: limit, workMs: 50 });
      await using project = await create(burstProgram, double.config());
      const { exitCode } = await project.run("up", "--yes", "--skip-preview", "--parallel", `${sandboxes}`);
      const lost = sandboxes - double.counts().sandboxes;
      report.add(`${service}: requests at once`, double.mostWorking);
      report.add(`${service}: throttled (429)`, double.throttled);
      report.add(`${service}: sandboxes lost`, lost);
      if (lost === 0 && exitCode !== 0) throw new Error("all were created, and the program failed");
    }
    return report.finish();
  });
}

/** What our resources cost where nothing is to be done: the same \`pulumi up\`, beside one of resources that are empty. */
async function benchNoOp({ rounds = 7 }: AzureBenchOptions = {}): Promise<Result[]> {
  return withDouble(async (double, create) => {
    const report = createReport({
      title: `pulumi up where nothing has changed, ${resources} resources`,
      baseline: empty,
    });
    await using theirs = await create(emptyProgram, {});
    await using mine = await create(ourProgram, double.config());
    await theirs.ok("up", "--yes", "--skip-preview");
    await mine.ok("up", "--yes", "--skip-preview");
    for (let round = -1; round < rounds; round++) {
      for (const [name, project] of [
        [empty, theirs],
        [ours, mine],
      ] as const) {
        const started = performance.now();
        const { stdout } = await project.ok("up", "--yes", "--skip-preview");
        if (!stdout.includes(`${resources + 1} unchanged`)) throw new Error(`not a no-op:\n${stdout}`);
        // The first loads what later ones find in memory.
        if (round >= 0) report.add(name, performance.now() - started);
      }
    }
    return report.finish();
  });
}

type Create = (program: string, config: Record<string, string>) => Promise<PulumiProject>;

async function withDouble<T>(work: (double: AzureDouble, create: Create) => Promise<T>): Promise<T> {
  const { AzureDouble } = await source<typeof Double>("test/azure/double/azureDouble");
  const { PulumiProject } = await source<typeof Project>("test/e2e/pulumiProject");
  await using double = await AzureDouble.start();
  const result = await work(double, (program, config) => PulumiProject.create(program, config));
  if (double.violations.length > 0) throw new Error(double.violations.join("\n"));
  return result;
}
