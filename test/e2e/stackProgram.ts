/** What of the program below a test changes. */
export interface StackChange {
  tags?: Record<string, string>;
  labels?: Record<string, string>;
  image?: string;
  /** More arguments of the sandbox, as JavaScript. */
  sandbox?: string;
}

/** The value of the secret in the program; must never be seen in a state or output. */
export const secretValue = "s3cr3t-value";

/** A program that declares a group `lab`, an image `python` and a sandbox `box`. */
export function stackProgram(change: StackChange = {}): string {
  const { tags = { team: "red" }, labels = { tier: "one" }, image = "python", sandbox = "" } = change;
  return `
const { DiskImage, Sandbox, SandboxGroup } = require("pulumi-sandboxes");
const pulumi = require("@pulumi/pulumi");
const group = new SandboxGroup("lab", { tags: ${JSON.stringify(tags)} });
const python = new DiskImage("python", { group, image: ${JSON.stringify(image)} });
const box = new Sandbox("box", {
  group,
  image: python,
  memory: "1Gi",
  labels: ${JSON.stringify(labels)},
  env: { TOKEN: pulumi.secret(${JSON.stringify(secretValue)}) },
  ${sandbox}
});
module.exports = { groupId: group.id, sandboxId: box.id, groupName: group.name };
`;
}
