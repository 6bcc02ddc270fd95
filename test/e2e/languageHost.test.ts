import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PulumiProject } from "./pulumiProject";

describe("our language host for Node.js", () => {
  let project: PulumiProject;

  beforeAll(async () => {
    project = await PulumiProject.create("", { "e2e:greeting": "good day" });
  });

  afterAll(async () => {
    await project?.[Symbol.asyncDispose]();
  });

  it("runs TypeScript as Node.js itself does, with configuration and arguments for Node.js", async () => {
    await writeFile(join(project.folder, "early.cjs"), 'globalThis.early = "loaded first";\n');
    await writeFile(
      join(project.folder, "program.ts"),
      `import * as pulumi from "@pulumi/pulumi";
const greeting: string = new pulumi.Config().require("greeting");
export const said = \`\${greeting} from \${pulumi.getProject()}/\${pulumi.getStack()}, \${(globalThis as { early?: string }).early}\`;
`,
    );
    await project.configure("program.ts", { typescript: false, nodeargs: "--require ./early.cjs" });
    await project.up();
    expect(await project.outputs()).toEqual({ said: "good day from e2e/test, loaded first" });
  });

  it("tells that a program has failed, and shows its error once", async () => {
    await project.configure("index.js", { typescript: false });
    await project.write('throw new Error("the program is broken");');
    const { exitCode, stdout } = await project.run("preview");
    expect(exitCode).not.toBe(0);
    expect(stdout.match(/Error: the program is broken/g)).toHaveLength(1);
  });

  it("tells about itself", async () => {
    const { stdout } = await project.ok("about", "--json");
    expect(JSON.parse(stdout).runtime).toMatchObject({
      language: "nodejs",
      version: process.version,
    });
  });
});
