/** The numbers of the guest protocol; `docs/agentProtocol.md` explains them. Both ends keep this list. */

export const protocolVersion = 1;
/** In HELLO's flags: the programs of an earlier session go on. */
export const keepProgramsFlag = 1;
/** Opens HELLO and HELLO_ACK, so that they can be found in the rests of a broken connection. */
export const magic = Buffer.from("SBXAGENT");
export const nonceBytes = 16;

/** Length (u32), stream (u32), type (u8); big-endian as all numbers here. */
export const headerBytes = 9;
export const maxPayloadBytes = 64 * 1024;
/** Between frames the guest skips this byte. */
export const paddingByte = 0xff;
/** A request that is larger than a frame goes in parts, up to this. */
export const maxRequestBytes = 4 * 1024 * 1024;

/** Connections that programs in the guest may have open to the host at once. */
export const maxArrivals = 256;

/** Bytes of one output channel that the guest may send ahead of our reader. */
export const guestWindowBytes = 256 * 1024;
/** Bytes of one input channel that we may send ahead of the guest's reader. */
export const hostWindowBytes = 64 * 1024;

export const frameType = {
  hello: 1,
  helloAck: 2,
  ping: 3,
  pong: 4,
  bye: 5,
  /** The machine cannot start; magic, then the reason as text. */
  fatal: 6,
  open: 16,
  openPart: 17,
  opened: 18,
  data: 19,
  dataError: 20,
  credit: 21,
  eof: 22,
  control: 23,
  end: 24,
  reset: 25,
} as const;

export const streamKind = {
  exec: 1,
  readFile: 2,
  writeFile: 3,
  stat: 4,
  list: 5,
  mkdir: 6,
  remove: 7,
  refresh: 8,
  connect: 9,
  listen: 10,
  archive: 11,
  space: 12,
  mount: 13,
  start: 14,
  listStarted: 15,
  readStarted: 16,
  signalStarted: 17,
  removeStarted: 18,
} as const;

export const tag = {
  kind: 1,
  argument: 10,
  variable: 11,
  cwd: 12,
  user: 13,
  stdin: 14,
  timeoutMs: 15,
  terminal: 16,
  startedMs: 17,
  wait: 18,
  path: 20,
  offset: 21,
  length: 22,
  mode: 23,
  createDirs: 24,
  recursive: 25,
  readOnly: 26,
  hostname: 30,
  machineId: 31,
  entropy: 32,
  clockMs: 33,
  port: 40,
  listener: 41,
  exitCode: 50,
  signal: 51,
  durationMs: 52,
  timedOut: 53,
  failure: 54,
  errno: 55,
  size: 56,
  free: 57,
  available: 58,
  name: 60,
  fileType: 61,
  modifiedMs: 62,
  uid: 63,
  gid: 64,
  target: 65,
  entry: 66,
  output: 67,
  errorOutput: 68,
} as const;

/** Why a stream failed: the value of the tag `failure`. */
export const failureKind = {
  invalid: 1,
  programNotFound: 2,
  cwdNotFound: 3,
  programForbidden: 4,
  cwdForbidden: 5,
  notExecutable: 6,
  interpreterNotFound: 7,
  userUnknown: 8,
  groupUnknown: 9,
  cancelled: 10,
  system: 11,
  notAFile: 12,
  tooMany: 13,
  unknownProgram: 14,
} as const;
