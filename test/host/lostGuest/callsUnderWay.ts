import { once } from "node:events";
import type { SandboxApi } from "../../../provider/client/sandboxApi";
import type { Sandbox } from "../../../provider/runtime";

/** One call of every kind that lasts, each known to be in the guest; what became of them by name. */
export async function callsUnderWay(
  sandbox: Sandbox,
  api: SandboxApi,
): Promise<() => Promise<Record<string, unknown>>> {
  const { id } = sandbox;
  const { files } = api.group("default");
  await sandbox.exec("head -c 8000000 /dev/zero > /tmp/large; rm -f /tmp/begun", { check: true });
  const outcomes = new Map<string, Promise<unknown>>();
  const keep = (name: string, call: Promise<unknown>) =>
    outcomes.set(
      name,
      call.then(
        (value) => `it ended with ${JSON.stringify(value)}`,
        (error: unknown) => error,
      ),
    );

  keep("exec", sandbox.exec("touch /tmp/begun; exec sleep 98765"));
  for (;;) if ((await sandbox.exec("test -e /tmp/begun")).exitCode === 0) break;

  const program = await sandbox.spawn("echo begun; exec sleep 98765");
  await once(program.stdout, "data");
  keep("exec stream", program.wait());

  const slow = await sandbox.spawn("yes");
  const lines = slow.stdout[Symbol.asyncIterator]();
  await lines.next();
  slow.stderr.resume();

  const download = (await files.read(id, "/tmp/large"))[Symbol.asyncIterator]();
  await download.next();

  const taken = Promise.withResolvers<void>();
  const source = async function* () {
    yield Buffer.alloc(200_000);
    taken.resolve();
    await new Promise(() => {});
  };
  keep("upload", files.write(id, "/tmp/upload", source()));
  await taken.promise;

  return async () => {
    keep("output of an exec stream", readOn(lines));
    keep("download", readOn(download));
    const names = [...outcomes.keys()];
    const ended = await Promise.all(outcomes.values());
    return Object.fromEntries(names.map((name, index) => [name, ended[index]]));
  };
}

async function readOn(chunks: AsyncIterator<unknown>): Promise<string> {
  for (;;) if ((await chunks.next()).done) return "the end";
}
