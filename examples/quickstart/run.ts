// Runs code in the sandbox that `pulumi up` made, as an application would: node examples/quickstart/run.ts
import { execFileSync } from "node:child_process";
import { connect } from "pulumi-sandboxes/runtime";

const program = `
import os, platform, sys
print(f"Hello from Python {platform.python_version()} on {platform.node()}, process {os.getpid()} of this machine")
print("primes:", [n for n in range(2, 50) if all(n % d for d in range(2, n))])
`;

async function main(): Promise<void> {
  const outputs = JSON.parse(execFileSync("pulumi", ["stack", "output", "--json"], { encoding: "utf8" }));
  const group = await connect({ group: outputs.groupId });
  const sandbox = await group.getSandbox(outputs.sandboxId);

  const ran = await timed(() => sandbox.exec(["python3", "-"], { stdin: program, check: true }));
  console.log(ran.value.stdout);

  const kernel = await timed(() => sandbox.exec(["uname", "-a"], { check: true }));
  console.log(`guest's kernel  ${kernel.value.stdout.trim()}`);
  console.log(`host's kernel   ${execFileSync("uname", ["-a"], { encoding: "utf8" }).trim()}`);
  console.log(`isolation       ${sandbox.isolation}\n`);

  // One more of the same image, for its time: the template is there, so this one is a copy of it.
  const second = await timed(() => group.createSandbox({ image: outputs.imageId }));
  const first = await timed(() => second.value.exec(["true"], { check: true })).finally(() => second.value.delete());
  console.log(`python program  ${ran.ms} ms`);
  console.log(`uname           ${kernel.ms} ms`);
  console.log(`another sandbox ${second.ms} ms to create, ${first.ms} ms for its first program`);
}

async function timed<T>(work: () => Promise<T>): Promise<{ value: T; ms: number }> {
  const start = performance.now();
  const value = await work();
  return { value, ms: Math.round(performance.now() - start) };
}

main().catch((error: unknown) => {
  console.error(String(error));
  process.exitCode = 1;
});
