import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, isIPv6 } from "node:net";
import { join } from "node:path";
import Fastify, { type FastifyInstance, LogController } from "fastify";
import { SandboxesError } from "../client/errors";
import { HeldKeys } from "./images/heldKeys";
import type { ImageStore } from "./images/imageStore";
import { parseQuery } from "./routes/queryNames";
import { renderError } from "./routes/renderError";
import { ReplayMemory } from "./routes/replay";
import { registerRoutes } from "./routes/routes";
import { type ListenAddress, listenUnix, parseListen } from "./serverListen";
import { logRequests, requestFacts } from "./serverLog";
import { createNetwork, type NetworkOptions } from "./serverNetwork";
import { type ServerTls, selfSignedTls } from "./serverTls";
import { Admission, type AdmissionOptions } from "./services/admission";
import { BackgroundService } from "./services/background";
import { CommitService } from "./services/commits";
import { DiskImageService } from "./services/diskImages";
import { ExecService } from "./services/exec";
import { FileService } from "./services/files";
import { GarbageService } from "./services/garbage";
import { GroupService } from "./services/groups";
import { LifecycleService } from "./services/lifecycle";
import { ProcessService } from "./services/processes";
import { recover } from "./services/recovery";
import { SandboxService } from "./services/sandboxes";
import type { SandboxNetwork } from "./services/sandboxNetwork";
import { SecretService } from "./services/secrets";
import { SnapshotShelf } from "./services/snapshotShelf";
import { SnapshotService } from "./services/snapshots";
import { StatsService } from "./services/stats";
import { StatusService } from "./services/status";
import type { openDatabase } from "./store/database";
import { DiskImageStore } from "./store/diskImageStore";
import { type GroupRecord, GroupStore, groupId } from "./store/groupStore";
import { RoleAssignmentStore } from "./store/roleAssignmentStore";
import { SandboxStore } from "./store/sandboxStore";
import { SecretBox } from "./store/secretBox";
import { SecretStore } from "./store/secretStore";
import { SnapshotStore } from "./store/snapshotStore";
import { VolumeStore } from "./store/volumeStore";
import type { VmDriver } from "./vm/driver";
import { VolumeService } from "./volumes/volumeService";

export interface HostServerOptions extends NetworkOptions {
  dataDir: string;
  /** From `openDatabase(dataDir)`, so that a second daemon ends before it does anything; closed by `stop`. */
  database: ReturnType<typeof openDatabase>;
  /** `unix:/path`, or `address:port` with `tls` and `token`. */
  listen: string;
  /** What callers send as bearer token. */
  token?: string;
  tls?: "self-signed" | { certFile: string; keyFile: string };
  /** More names for a self-signed certificate. */
  tlsNames?: string[];
  region: string;
  version: string;
  driver: VmDriver;
  images: ImageStore;
  admission?: AdmissionOptions;
  /** Where JSON lines go; false for none. */
  log: { write(line: string): void } | false;
  /** Called when a caller asked the daemon to end; `stop` has run by then. */
  onShutDown?: () => void;
}

export interface HostServer {
  /** Recovers what a former process left, then listens. */
  start(): Promise<{ endpoint: string; caFile?: string }>;
  /** Ends the daemon's work and leaves sandboxes running, or ends them too. Repeatable. */
  stop(options?: { stopSandboxes?: boolean }): Promise<void>;
}

/** The daemon: wires store, services and routes, and owns their order of starting and ending. */
export function createHostServer(options: HostServerOptions): HostServer {
  const listen = parseListen(options.listen);
  if ("port" in listen) refuseOpenTcp(options);
  let running: Running | undefined;
  let stopping: Promise<void> | undefined;
  const stop = async ({ stopSandboxes = false } = {}) => {
    stopping ??= running?.stop(stopSandboxes) ?? Promise.resolve(options.database.close());
    await stopping;
  };
  const shutDown = (how: { stopSandboxes: boolean }) => {
    // After the answer has left: stopping closes its connection.
    setImmediate(() => void stop(how).finally(() => options.onShutDown?.()));
  };
  return {
    stop,
    start: async () => {
      const tls = "port" in listen ? await readTls(options, listen.host) : undefined;
      const app = createApp(options, tls);
      const services = createServices(options, app, listen, tls);
      logRequests(app);
      registerRoutes(app, {
        ...services,
        replay: new ReplayMemory(),
        region: options.region,
        driver: options.driver,
        token: options.token,
        unixEndpoint: "path" in listen ? `unix:${listen.path}` : undefined,
        shutDown,
      });
      await recover(services.recovery);
      const groupExists = (groupKey: string) => services.recovery.groups.get(groupKey) !== undefined;
      services.secrets.restart(groupExists);
      await services.volumes.restart(groupExists);
      services.egress.restart(groupExists);
      await services.ports.restart();
      let unlisten = () => {};
      let endpoint: string;
      if ("path" in listen) {
        unlisten = await listenUnix(app, listen.path);
        endpoint = `unix:${listen.path}`;
      } else {
        await app.listen({ host: listen.host, port: listen.port, listenTextResolver: () => "serving" });
        endpoint = `https://${reachable(listen.host)}:${(app.server.address() as AddressInfo).port}`;
      }
      running = {
        stop: async (stopSandboxes) => {
          // Sandboxes first: the socket that a starter waits to see gone is the last sign of life.
          if (stopSandboxes) await services.sandboxes.endAll();
          await app.close();
          services.ports.close();
          services.egress.close();
          services.lifecycle.close();
          await services.sandboxes.close();
          await services.diskImages.close();
          await options.driver.close();
          await services.volumes.close();
          unlisten();
          options.database.close();
        },
      };
      return { endpoint, caFile: tls?.caFile };
    },
  };
}

interface Running {
  stop: (stopSandboxes: boolean) => Promise<void>;
}

/** An address to call, for one to listen on. */
function reachable(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return isIPv6(host) ? `[${host}]` : host;
}

function refuseOpenTcp({ listen, tls, token }: HostServerOptions): void {
  if (tls !== undefined && token !== undefined && token.length >= 16) return;
  const missing = tls === undefined ? "TLS" : token === undefined ? "a token" : "a token of 16 characters or more";
  throw new SandboxesError("Invalid", `Cannot listen on "${listen}" without ${missing}: anybody could run code here`, {
    hint: "give --token-file and --tls self-signed (or --tls-cert and --tls-key), or listen on unix:PATH",
  });
}

async function readTls({ tls, tlsNames, dataDir }: HostServerOptions, host: string): Promise<ServerTls> {
  if (typeof tls === "object")
    return { cert: readFileSync(tls.certFile, "utf8"), key: readFileSync(tls.keyFile, "utf8") };
  const named = /^(0\.0\.0\.0|::)$/.test(host) ? [] : [host];
  return selfSignedTls(join(dataDir, "tls"), [...named, ...(tlsNames ?? [])]);
}

function createApp({ log }: HostServerOptions, tls: ServerTls | undefined): FastifyInstance {
  return Fastify({
    serverFactory: (handler) =>
      tls ? createTlsServer({ ...tls, minVersion: "TLSv1.2" }, handler) : createServer(handler),
    logger: log && { stream: log, mixin: requestFacts },
    genReqId: () => randomUUID(),
    requestIdHeader: false,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: "requestId" }),
    routerOptions: {
      caseSensitive: false,
      ignoreTrailingSlash: true,
      ignoreDuplicateSlashes: true,
      maxParamLength: 512,
      querystringParser: parseQuery,
    },
    exposeHeadRoutes: true,
    // An address that cannot be decoded never comes to a route.
    frameworkErrors: (error, request, reply) => {
      const { status, headers, body } = renderError(error, request);
      reply.raw.writeHead(status, headers).end(JSON.stringify(body));
    },
    bodyLimit: 4 * 2 ** 20,
    forceCloseConnections: true,
    return503OnClosing: false,
  });
}

/** Volumes first: whatever runs in a guest may be in one. */
function withVolumes(network: SandboxNetwork, volumes: VolumeService): SandboxNetwork {
  return {
    environment: (record) => network.environment(record),
    guestUp: async (record, agent) => {
      await volumes.guestUp(record, agent);
      await network.guestUp(record, agent);
    },
    removed: (id) => {
      network.removed(id);
      volumes.removed(id);
    },
  };
}

function createServices(
  options: HostServerOptions,
  app: FastifyInstance,
  listen: ListenAddress,
  tls: ServerTls | undefined,
) {
  const { database, driver, images, region, version } = options;
  const log = app.log;
  const admission = new Admission(options.admission);
  const groupStore = new GroupStore(database);
  const sandboxStore = new SandboxStore(database);
  const diskImageStore = new DiskImageStore(database);
  const imagesInUse = new HeldKeys();
  const diskImages = new DiskImageService({ store: diskImageStore, images, imagesInUse, log });
  const box = new SecretBox(options.dataDir);
  const secrets = new SecretService({ store: new SecretStore(database), box });
  const { egress, ports, network } = createNetwork({
    ...{ options, listen, tls, store: sandboxStore, log },
    secretValue: (groupKey, id, key) => secrets.secretValue(groupKey, id, key),
    derive: (purpose) => box.derive(purpose),
    sandboxes: () => sandboxes,
  });
  const snapshotStore = new SnapshotStore(database);
  const shelf = new SnapshotShelf({
    store: snapshotStore,
    directory: join(options.dataDir, "snapshots"),
  });
  const volumeStore = new VolumeStore(database);
  const volumes = new VolumeService({
    ...{ store: volumeStore, sandboxes: sandboxStore, snapshots: shelf, dataDir: options.dataDir, log },
  });
  const lifecycle = new LifecycleService({
    ...{ store: sandboxStore, log },
    suspend: (record) => sandboxes.stopIdle(record),
    remove: ({ groupKey, id }) => sandboxes.delete(groupKey, id),
  });
  const sandboxes: SandboxService = new SandboxService({
    network: withVolumes(network, volumes),
    ...{ store: sandboxStore, diskImages, driver, admission, snapshots: shelf, lifecycle, log },
  });
  const snapshots = new SnapshotService({ shelf, sandboxes, driver, volumes: volumeStore });
  const commits = new CommitService({ sandboxes, diskImages, directory: join(options.dataDir, "commits") });
  const roleAssignments = new RoleAssignmentStore(database);
  const empty = async (record: GroupRecord) => {
    const { key } = record;
    roleAssignments.deleteUnder(groupId(record));
    await sandboxes.empty(key);
    await snapshots.empty(key);
    diskImages.empty(key);
    secrets.empty(key);
    await volumes.empty(key);
    egress.empty(key);
  };
  const groups = new GroupService({ store: groupStore, driver, empty });
  const exec = new ExecService({ sandboxes, log });
  const files = new FileService({ sandboxes });
  const status = new StatusService({
    version,
    region,
    groups: groupStore,
    diskImages,
    sandboxes,
    exec,
    admission,
    driver,
  });
  const stats = new StatsService({ sandboxes });
  const stores = { diskImages: diskImageStore, sandboxes: sandboxStore, snapshots: snapshotStore };
  const garbage = new GarbageService({ images, imagesInUse, driver, stores, log });
  const processes = new ProcessService({ sandboxes });
  const background = new BackgroundService({ sandboxes });
  const recovery = {
    ...{ groups: groupStore, store: sandboxStore, driver, sandboxes, diskImages, snapshots, commits, lifecycle, log },
  };
  return {
    ...{ groups, diskImages, sandboxes, exec, files, secrets, volumes, ports, egress, status, recovery },
    ...{ snapshots, commits, lifecycle, stats, garbage, processes, background, roleAssignments },
  };
}
