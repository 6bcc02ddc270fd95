import type { Duplex, Readable, Writable } from "node:stream";
import type { SandboxesError } from "../../client/errors";
import type { GuestBackground } from "./guestBackground";

/**
 * What the host can ask of the agent that is PID 1 in a guest. The guest is hostile: implementations bound everything
 * that comes from it and never treat it as a host path.
 */
export interface GuestAgent {
  /** One round trip that starts no process. */
  ping(options?: CallOptions): Promise<void>;

  /**
   * Makes a clone an individual: fresh kernel entropy, clock, hostname, machine id and boot id. Acknowledged before
   * the sandbox is handed out; also called after each resume.
   */
  refresh(identity: GuestIdentity, options?: CallOptions): Promise<void>;

  /**
   * Starts a program. Resolves once it runs; rejects with `ExecFailed` when it could not be started (the message
   * tells a missing program from a missing directory, user or permission).
   */
  exec(request: ExecRequest): Promise<GuestProcess>;

  /**
   * Streams a file's bytes. Rejects with `FileNotFound`, `FileConflict` (a directory) or `Forbidden`. The signal counts
   * until it resolves; then the stream is to be destroyed.
   */
  readFile(path: string, options?: CallOptions & { offset?: number; length?: number }): Promise<Readable>;
  /** Replaces a file atomically with what `source` yields; returns the bytes written. */
  writeFile(path: string, source: AsyncIterable<Uint8Array>, options?: CallOptions & WriteFileOptions): Promise<number>;
  stat(path: string, options?: CallOptions): Promise<GuestFileInfo>;
  /** Entries of a directory, dot files included, sorted by name. */
  list(path: string, options?: CallOptions): Promise<GuestFileInfo[]>;
  /** Makes a directory and its parents. Repeatable. */
  mkdir(path: string, options?: CallOptions & { mode?: number }): Promise<void>;
  /** Removes a file or an empty directory; with `recursive` a tree. */
  remove(path: string, options?: CallOptions & { recursive?: boolean }): Promise<void>;

  /**
   * The tree at `path` as a tar stream (pax, names relative to it); other file systems mounted in it are empty
   * directories. Programs stand still until it is read or destroyed, or another one is started. An error of the
   * stream tells that it is not complete.
   */
  archive(path: string): Promise<Readable>;
  /** Of the file system that holds the path. */
  space(path: string, options?: CallOptions): Promise<GuestSpace>;

  /** A TCP connection to a port that a program in the guest listens on; `Conflict` when none does. */
  connectPort(port: number, options?: CallOptions): Promise<Duplex>;
  /**
   * Takes the connections that programs in the guest make to its `127.0.0.1:port`; 0 is any free port, `Conflict` tells
   * that the port is taken. There are at most 256 at once, more wait in the guest. `onConnection` owns what it gets.
   */
  listen(port: number, onConnection: (connection: Duplex) => void, options?: CallOptions): Promise<GuestListener>;

  /**
   * Mounts a volume, or takes up the one of that name that an earlier connection mounted. What comes out of the stream
   * are the guest's kernel's questions (FUSE), what goes in the answers; while there is no stream, programs that use the
   * volume wait. A mount ends with its machine.
   */
  mount(request: MountRequest, options?: CallOptions): Promise<Duplex>;

  /** Programs that need nobody who listens. */
  readonly background: GuestBackground;

  /** Settles once, when the connection is over for whatever reason; never rejects. */
  readonly closed: Promise<SandboxesError>;
  /** Drops the connection; the guest ends what it ran for it. */
  close(): void;
}

export interface GuestSpace {
  totalBytes: number;
  freeBytes: number;
  /** What ordinary users may still take. */
  availableBytes: number;
}

export interface GuestListener {
  readonly port: number;
  /** Connections that stand go on. Repeatable. */
  close(): void;
}

export interface MountRequest {
  /** Tells the guest's volumes apart. */
  name: string;
  /** Absolute; made if it is not there. */
  path: string;
  readOnly?: boolean;
}

export interface CallOptions {
  /** Breaks the call off, also in the guest; it rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface GuestIdentity {
  hostname: string;
  /** 32 hex digits. */
  machineId: string;
  /** At least 32 bytes from the host's random source. */
  entropy: Uint8Array;
  /** Wall clock, ms since the epoch; taken as late as possible. */
  clockMs: number;
}

export interface ExecRequest {
  argv: string[];
  /** The whole environment of the program; nothing is inherited. */
  env?: Record<string, string>;
  /** Absolute; default `/`. */
  cwd?: string;
  /** `name`, `uid`, `name:group` or `uid:gid`, looked up in the guest; default root. */
  user?: string;
  /** False: the program's stdin is /dev/null. */
  stdin?: boolean;
  /** Kills the whole tree (also daemons it left) after so many ms; enforced in the guest. */
  timeoutMs?: number;
  /** Kills the whole tree. */
  signal?: AbortSignal;
  /** A terminal of that size; stdin is open then, and stdout and stderr are one stream. */
  tty?: { columns: number; rows: number };
}

export interface GuestProcess {
  /** Ends in the program's EOF. Absent unless asked for. */
  readonly stdin: Writable | undefined;
  /** Must be consumed: an unread stream stops the program once the window is full. */
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Settles when the program has ended and its output is complete; rejects only when the guest is lost. */
  readonly exit: Promise<GuestExit>;
  /** Sends a signal to the whole tree, `SIGTERM`. */
  kill(signal: string): void;
  resize(columns: number, rows: number): void;
}

export interface GuestExit {
  /** Null when a signal ended it. */
  exitCode: number | null;
  /** `SIGKILL`; null when it exited. */
  signal: string | null;
  timedOut: boolean;
  durationMs: number;
}

export interface WriteFileOptions {
  /** Permission bits; default 0o644 for a new file, unchanged for an old one. */
  mode?: number;
  createDirs?: boolean;
}

export interface GuestFileInfo {
  name: string;
  path: string;
  sizeBytes: number;
  /** Permission bits. */
  mode: number;
  type: "file" | "directory" | "symlink" | "other";
  symlinkTarget?: string;
  uid: number;
  gid: number;
  modifiedMs: number;
}
