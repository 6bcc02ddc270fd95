import { commonUsage, parseArguments } from "./arguments";
import { type Command, usageError } from "./command";
import { programOptions, programRequest, programUsage, runProgram } from "./program";
import { findSandbox, openTarget } from "./target";

const hint = "sandboxes exec ID -- PROGRAM ARGUMENT…, for example: sandboxes exec -it 3e355780 -- bash";

/** `sandboxes exec`: a program in a sandbox that is there. */
export const execCommand: Command = {
  name: "exec",
  summary: "run a program in a sandbox",
  usage: `sandboxes exec [options] ID -- PROGRAM [ARGUMENT…]

ID may be the beginning of an id. The exit code is the program's.

${programUsage}
${commonUsage}`,

  async run(argv, io) {
    const { values, positionals, rest } = parseArguments(argv, programOptions, hint);
    const [id, ...others] = positionals;
    if (!id) throw usageError("No sandbox is given", hint);
    if (others.length > 0) throw usageError(`What is "${others[0]}"? The program comes after "--"`, hint);
    const request = programRequest(values, rest, io, hint);
    const sandbox = await findSandbox(await openTarget(values, io), id, io);
    return runProgram(sandbox, request, io);
  },
};
