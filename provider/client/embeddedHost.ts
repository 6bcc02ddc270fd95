import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { request } from "node:http";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { SandboxesError } from "./errors";
import { connectUnix } from "./socket";
import { type HostStatusView, hostStatusView } from "./wire/status";

export interface EmbeddedHostOptions {
  /** Default: `SANDBOXES_DATA_DIR`, else `pulumi-sandboxes` in the user's data directory. */
  dataDir?: string;
  signal?: AbortSignal;
}

export interface EmbeddedHostStatus {
  running: boolean;
  /** `unix:…`, also of a host that is not running. */
  endpoint: string;
  dataDir: string;
  logFile: string;
  /** What a running host says of itself. */
  status?: HostStatusView;
}

/** Exit code of a daemon that found another one serving its data directory. */
export const alreadyServedExitCode = 3;

/** A loaded machine takes seconds to load the daemon; taking over hundreds of VMs takes some more. */
const startWithinMs = 60_000;
/** Ending a hundred VMs takes seconds. */
const stopWithinMs = 60_000;
const pollMs = 20;
/** After which a loser of the race tries again: the winner may have been a daemon on its way out. */
const retryAfterMs = 2_000;
/** Generous: a host on a busy machine is not gone. */
const answerWithinMs = 20_000;
const maxLogBytes = 10 * 2 ** 20;

/**
 * Finds the host that serves a data directory, or starts it and leaves it running. However many processes call this
 * at once, one daemon results: the others find the directory locked, end, and their callers use the one there is.
 */
export async function ensureEmbeddedHost(options: EmbeddedHostOptions = {}): Promise<{ endpoint: string }> {
  const { signal } = options;
  const place = placeOf(options);
  const deadline = Date.now() + startWithinMs;
  let daemon: Daemon | undefined;
  while (!(await isServed(place, signal))) {
    const lost = daemon?.exitCode === alreadyServedExitCode && Date.now() > daemon.endedAt + retryAfterMs;
    if (!daemon || lost) daemon = startDaemon(place);
    else if (daemon.exitCode !== undefined && daemon.exitCode !== alreadyServedExitCode) {
      throw await startFailure(place, daemon, `it ended with ${daemon.exitCode}`);
    }
    if (Date.now() > deadline) throw await startFailure(place, daemon, `it did not answer in ${startWithinMs} ms`);
    await sleep(pollMs, undefined, { signal });
  }
  return { endpoint: place.endpoint };
}

/**
 * Ends the host of a data directory and all its sandboxes; resolves when its process is gone. Answers whether there
 * was anything to stop. VMs that a killed host left behind are ended too, by a host started for that.
 */
export async function stopEmbeddedHost(options: EmbeddedHostOptions = {}): Promise<{ stopped: boolean }> {
  const { signal } = options;
  const place = placeOf(options);
  let state = await embeddedHostStatus(options);
  if (!state.running) {
    if (!hasMachines(place)) return { stopped: false };
    await ensureEmbeddedHost(options);
    state = await embeddedHostStatus(options);
  }
  const pid = Number(state.status?.processId);
  await call(place, "POST", "/shutdown", { stopSandboxes: true }, signal);
  const deadline = Date.now() + stopWithinMs;
  while ((await isServed(place, signal)) || isAlive(pid)) {
    if (Date.now() > deadline) {
      throw new SandboxesError("Timeout", `The host of "${place.dataDir}" (process ${pid}) did not end in time`, {
        hint: `see ${place.logFile}`,
      });
    }
    await sleep(pollMs, undefined, { signal });
  }
  return { stopped: true };
}

/** What the host of a data directory says of itself; starts nothing. */
export async function embeddedHostStatus(options: EmbeddedHostOptions = {}): Promise<EmbeddedHostStatus> {
  const { dataDir, endpoint, logFile } = placeOf(options);
  const place = placeOf(options);
  if (!(await isServed(place, options.signal))) return { running: false, dataDir, endpoint, logFile };
  const status = hostStatusView.parse(await call(place, "GET", "/status", undefined, options.signal));
  return { running: true, dataDir, endpoint, logFile, status };
}

interface Place {
  dataDir: string;
  socket: string;
  endpoint: string;
  logFile: string;
}

function placeOf({ dataDir }: EmbeddedHostOptions): Place {
  const directory = resolve(dataDir || process.env.SANDBOXES_DATA_DIR || defaultDataDir());
  const socket = join(directory, "host.sock");
  return { dataDir: directory, socket, endpoint: `unix:${socket}`, logFile: join(directory, "host.log") };
}

function defaultDataDir(): string {
  return join(process.env.XDG_DATA_HOME || join(homedir(), ".local", "share"), "pulumi-sandboxes");
}

interface Daemon {
  logOffset: number;
  exitCode: number | undefined;
  endedAt: number;
}

function startDaemon({ dataDir, endpoint, logFile }: Place): Daemon {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const log = openLog(logFile);
  const daemon: Daemon = { logOffset: sizeOf(logFile), exitCode: undefined, endedAt: 0 };
  const main = join(packageRoot(), "dist", "cli", "main.js");
  const args = [main, "host", "serve", "--data", dataDir, "--listen", endpoint];
  const child = spawn(process.execPath, args, {
    cwd: "/",
    detached: true,
    env: daemonEnvironment(),
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  const ended = (code: number) => {
    daemon.exitCode ??= code;
    daemon.endedAt = Date.now();
  };
  child.once("error", () => ended(127));
  child.once("exit", (code) => ended(code ?? 128));
  child.unref();
  return daemon;
}

/** The daemon outlives its starter and runs others' code: it gets what it needs and none of the starter's secrets. */
function daemonEnvironment(): NodeJS.ProcessEnv {
  const wanted =
    /^(PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TZ|TMPDIR|XDG_\w+|SANDBOXES_\w+|https?_proxy|no_proxy|all_proxy|SSL_CERT_\w+|NODE_EXTRA_CA_CERTS|REGISTRY_AUTH_FILE|DOCKER_CONFIG)$/i;
  const entries = Object.entries(process.env).filter(([name]) => wanted.test(name) && name !== "SANDBOXES_TOKEN");
  return Object.fromEntries(entries);
}

function openLog(path: string): number {
  if (sizeOf(path) > maxLogBytes) renameSync(path, `${path}.1`);
  return openSync(path, "a", 0o600);
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

async function startFailure(place: Place, daemon: Daemon, what: string): Promise<SandboxesError> {
  const tail = await readFrom(place.logFile, daemon.logOffset).catch(() => "");
  const said = tail.trim().slice(-1500);
  return new SandboxesError(
    "HostUnavailable",
    `The embedded host could not be started: ${what}${said && `: ${said}`}`,
    {
      hint: `see ${place.logFile}, and \`sandboxes doctor\` for what this machine lacks`,
    },
  );
}

async function readFrom(path: string, offset: number): Promise<string> {
  await using file = await open(path);
  return await text(file.createReadStream({ start: offset, autoClose: false }));
}

async function isServed(place: Place, signal: AbortSignal | undefined): Promise<boolean> {
  signal?.throwIfAborted();
  if (!existsSync(place.socket)) return false;
  try {
    await call(place, "GET", "/healthz", undefined, signal);
    return true;
  } catch {
    signal?.throwIfAborted();
    return false; // Nobody listens there: a socket that a killed host left, or one that just closes.
  }
}

/** One small request over the socket; nothing here needs the client's retries. */
async function call(place: Place, method: string, path: string, body?: object, signal?: AbortSignal): Promise<unknown> {
  const limit = AbortSignal.timeout(answerWithinMs);
  const either = signal ? AbortSignal.any([signal, limit]) : limit;
  return new Promise((resolveCall, reject) => {
    const createConnection = () => connectUnix(place.socket);
    const headers = { "content-type": "application/json" };
    const call = request({ method, path, headers, createConnection, signal: either }, (reply) => {
      text(reply).then((content) => {
        if (reply.statusCode !== undefined && reply.statusCode < 300) resolveCall(JSON.parse(content));
        else
          reject(new SandboxesError("HostUnavailable", `The host answered ${reply.statusCode} to ${method} ${path}`));
      }, reject);
    });
    call.on("error", reject);
    call.end(body && JSON.stringify(body));
  });
}

/** The driver keeps a folder for each VM in `vms`. */
function hasMachines({ dataDir }: Place): boolean {
  const machines = join(dataDir, "vms");
  return existsSync(machines) && readdirSync(machines).length > 0;
}

/** False for a zombie too: in a container nobody may collect its exit status. */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name, in parentheses, may hold spaces; the state is the first field after it.
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    return false; // It is gone.
  }
}

/** The nearest folder above with a package.json; the same from sources and from `dist`. */
function packageRoot(): string {
  let folder = __dirname;
  while (!existsSync(join(folder, "package.json"))) folder = dirname(folder);
  return folder;
}
