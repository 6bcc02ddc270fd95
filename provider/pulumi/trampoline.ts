/**
 * What the state keeps as the provider of a dynamic resource, and the engine runs on refresh and destroy too: it holds
 * nothing of ours, but finds the installed package from the folder of the program and hands over its module
 * `pulumi-sandboxes/dynamic/<name>`. (`createRequire`, because a package does not resolve a reference to itself.) The
 * text must not change between versions, or every stack would carry two kinds of it.
 */
export function trampoline(name: string): string {
  const module = `pulumi-sandboxes/dynamic/${name}`;
  return `exports.handler = () => require("node:module").createRequire(process.cwd() + "/x.js")("${module}");\n`;
}
