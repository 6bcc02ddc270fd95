import { constants } from "node:os";
import { type ErrorCode, SandboxesError } from "../../../client/errors";
import type { Fields } from "./fields";
import { failureKind, tag } from "./protocol";

/** The error that an END carries, told as the failure of `action` (`Reading "/etc/x"`); undefined for a success. */
export function failureOf(fields: Fields, action: string): SandboxesError | undefined {
  const kind = fields.number(tag.failure);
  if (kind === undefined) return undefined;
  const errno = fields.number(tag.errno) ?? 0;
  const [code, state] = stateOf(kind, errno);
  return new SandboxesError(code, `${action}: ${state}`);
}

/** Code and words for a failure. Nothing here comes from the guest but two numbers. */
function stateOf(kind: number, errno: number): [ErrorCode, string] {
  switch (kind) {
    case failureKind.programNotFound:
      return ["ExecFailed", "the program was not found"];
    case failureKind.cwdNotFound:
      return ["ExecFailed", "the working directory was not found"];
    case failureKind.programForbidden:
      return errnoName(errno) === "EPERM"
        ? ["ExecFailed", "the system does not permit to execute the program"]
        : ["ExecFailed", "permission to execute the program was denied"];
    case failureKind.cwdForbidden:
      return ["ExecFailed", "permission to enter the working directory was denied"];
    case failureKind.notExecutable:
      return ["ExecFailed", "the file is not in an executable format"];
    case failureKind.interpreterNotFound:
      return ["ExecFailed", "the interpreter that the file asks for was not found"];
    case failureKind.userUnknown:
      return ["ExecFailed", "the user is unknown in the sandbox"];
    case failureKind.groupUnknown:
      return ["ExecFailed", "the group is unknown in the sandbox"];
    case failureKind.cancelled:
      return ["Conflict", "it was cancelled"];
    case failureKind.notAFile:
      return ["FileConflict", "it is not a regular file"];
    case failureKind.tooMany:
      return ["CapacityExceeded", "too many calls are under way in the sandbox"];
    case failureKind.unknownProgram:
      return ["ProcessNotFound", "no such program was started in the background, or it is forgotten"];
    case failureKind.system:
      return fileStates[errnoName(errno)] ?? ["GuestFailed", `the sandbox's system answered ${errnoName(errno)}`];
    default:
      return ["Invalid", "the agent refused the request"];
  }
}

const fileStates: Record<string, [ErrorCode, string]> = {
  ENOENT: ["FileNotFound", "it does not exist"],
  EISDIR: ["FileConflict", "it is a directory"],
  ENOTDIR: ["FileConflict", "a part of the path is not a directory"],
  EEXIST: ["FileConflict", "something of another type is there already"],
  ENOTEMPTY: ["FileConflict", "the directory is not empty"],
  EBUSY: ["FileConflict", "it is in use"],
  ELOOP: ["FileConflict", "too many symbolic links"],
  ENAMETOOLONG: ["Invalid", "the name is too long"],
  EINVAL: ["Invalid", "an argument is out of range"],
  E2BIG: ["Invalid", "arguments and environment are too large"],
  EACCES: ["Forbidden", "permission was denied"],
  EPERM: ["Forbidden", "the operation is not permitted"],
  EROFS: ["Forbidden", "the file system is read-only"],
  ENOSPC: ["CapacityExceeded", "no space is left on the sandbox's disk"],
  ENOMEM: ["CapacityExceeded", "the sandbox has no memory left"],
  EAGAIN: ["CapacityExceeded", "the sandbox can start no more processes"],
  EMFILE: ["CapacityExceeded", "the sandbox has too many open files"],
  ECONNREFUSED: ["Conflict", "nothing listens there"],
  EADDRINUSE: ["Conflict", "something else listens there"],
};

const errnoNames = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

function errnoName(errno: number): string {
  return errnoNames.get(errno) ?? `error ${errno}`;
}
