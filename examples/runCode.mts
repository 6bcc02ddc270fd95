import { connect } from "pulumi-sandboxes/runtime";

// Finds this machine's host, or starts it; SANDBOXES_ENDPOINT and SANDBOXES_TOKEN name another one.
const group = await connect();
const sandbox = await group.createSandbox({ image: "python", labels: { made: "by-example" } });
try {
  await sandbox.files.write("/tmp/numbers.txt", "1\n2\n39\n");
  const code = `print(sum(int(line) for line in open("/tmp/numbers.txt")))`;
  const { stdout, exitCode, durationMs } = await sandbox.exec(["python3", "-c", code]);
  console.log(`${stdout.trim()} (exit code ${exitCode}, ${Math.round(durationMs)} ms, isolation ${sandbox.isolation})`);

  // A time limit ends the whole tree of processes, in the guest.
  const onStdout = (text: string) => console.log(text.trim());
  const { timedOut } = await sandbox.exec("echo asleep; sleep 60", { timeoutMs: 1_000, onStdout });
  console.log({ timedOut });
} finally {
  await sandbox.delete();
}
