import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { alreadyServedExitCode } from "../client/embeddedHost";
import { isSandboxesError } from "../client/errors";
import type { HostServerOptions } from "../host/server";
import type { IdentityEndpoint } from "../host/serverIdentity";
import type { openDatabase } from "../host/store/database";
import type { VmDriver } from "../host/vm/driver";
import { type CommandIo, type HostCommand, usageError } from "./command";
import { daemonLog } from "./daemonLog";
import { parseHostArguments } from "./hostArguments";
import { networkOptions, networkUsage, readNetwork } from "./hostNetwork";
import { packageVersion } from "./packageVersion";

const hint = "sandboxes host serve --data DIR --listen unix:PATH|ADDR:PORT [options]";

const options = {
  listen: { type: "string" },
  "tls-cert": { type: "string" },
  "tls-key": { type: "string" },
  tls: { type: "string" },
  "tls-name": { type: "string", multiple: true },
  "token-file": { type: "string" },
  region: { type: "string" },
  memory: { type: "string" },
  driver: { type: "string" },
  catalogue: { type: "string" },
  "identity-endpoint": { type: "string" },
  ...networkOptions,
} as const;

/** `sandboxes host serve`: the daemon in the foreground, until a signal or a shutdown over its socket. */
export const hostServe: HostCommand = {
  usage: `${hint}
  serves in the foreground and prints one line of JSON when it is ready; SIGTERM ends it and leaves sandboxes running
  --listen ADDR        unix:/path (only your user gets in), or address:port, which needs TLS and a token
  --tls self-signed    a certificate from an own authority in DIR/tls, whose file is in the ready line
  --tls-name NAME      another name for that certificate, repeatable
  --tls-cert, --tls-key FILE   a certificate of yours
  --token-file FILE    callers send its content (16 characters or more) as bearer token
  --identity-endpoint 127.0.0.1:PORT   gives out the token as Azure's managed identities do, for DefaultAzureCredential;
                       the ready line says what IDENTITY_ENDPOINT and IDENTITY_HEADER have to be
  --region NAME        what sandboxes and groups say (local)
  --memory MIB         what all sandboxes together may take; more than the machine has overcommits
  --catalogue FILE     what public image names stand for (DIR/catalogue.json if it is there), as {"ubuntu": "recipe:debian"}
${networkUsage}
  --driver qemu|memory memory runs programs as plain processes: for tests, it isolates nothing`,

  async run(argv, io) {
    const { values, positionals } = parseHostArguments(argv, options, hint);
    if (positionals.length > 0) throw usageError(`What is "${positionals[0]}"?`, hint);
    const { data, listen } = values;
    if (!data || !listen) throw usageError(`${data ? "--listen" : "--data"} is missing`, hint);
    const dataDir = resolve(data);
    const settings = readSettings(values, io);

    // The lock before all else: of many daemons started at once, the others end here, before they have loaded much.
    const { openDatabase } = await import("../host/store/database.js");
    let database: ReturnType<typeof openDatabase>;
    try {
      database = openDatabase(dataDir);
    } catch (error) {
      if (!isSandboxesError(error, "InUse")) throw error;
      io.stderr.write(`sandboxes: ${error.message}\n`);
      return alreadyServedExitCode;
    }
    const log = daemonLog(join(dataDir, "host.log"), io);
    return serve({ ...settings, dataDir, listen, database, log, version: packageVersion() }, settings, io);
  },
};

type Given = "tls" | "tlsNames" | "token" | "region" | "admission" | "egressAllowPrivate" | "portRange";
interface Settings extends Pick<HostServerOptions, Given> {
  driverName: "qemu" | "memory";
  /** A file that must be there; else the data directory's, if it is there. */
  catalogueFile: string | undefined;
  identityListen: string | undefined;
}

async function serve(
  settings: Omit<HostServerOptions, "driver" | "images">,
  { driverName, catalogueFile, identityListen }: Settings,
  io: CommandIo,
): Promise<number> {
  const { createHostServer } = await import("../host/server.js");
  const { createCatalogue, createImageStore, readCatalogueFile } = await import("../host/images/index.js");
  const { cacheDirectory } = await import("../host/vm/cacheDirectory.js");
  const { dataDir } = settings;
  const ownCatalogue = join(dataDir, "catalogue.json");
  const cataloguePath = catalogueFile ?? (existsSync(ownCatalogue) ? ownCatalogue : undefined);
  const catalogue = asUsage(() => createCatalogue(cataloguePath === undefined ? {} : readCatalogueFile(cataloguePath)));
  const driver = await createDriver(driverName, dataDir);
  const images = createImageStore({ dataDir, cacheDir: join(cacheDirectory(), "images"), catalogue });
  const { promise: ended, resolve: onShutDown } = Promise.withResolvers<void>();
  const server = asUsage(() => createHostServer({ ...settings, driver, images, onShutDown }));
  let identity: IdentityEndpoint | undefined;
  try {
    if (identityListen !== undefined) {
      const { startIdentityEndpoint } = await import("../host/serverIdentity.js");
      identity = await startIdentityEndpoint({ listen: identityListen, dataDir, token: settings.token });
    }
    const ready = {
      ...(await server.start()),
      ...(identity && { identityEndpoint: identity.url, identityHeaderFile: identity.headerFile }),
    };
    io.stdout.write(`${JSON.stringify({ ready: true, ...ready })}\n`);
    io.signal.addEventListener("abort", () => onShutDown(), { once: true });
    if (!io.signal.aborted) await ended;
  } finally {
    await identity?.close();
    await server.stop();
  }
  return 0;
}

async function createDriver(name: Settings["driverName"], dataDirectory: string): Promise<VmDriver> {
  if (name === "memory") return (await import("../host/vm/memory/index.js")).createMemoryDriver({ dataDirectory });
  return (await import("../host/vm/qemu/index.js")).createQemuDriver({ dataDirectory });
}

function readSettings(
  values: ReturnType<typeof parseHostArguments<typeof options>>["values"],
  io: CommandIo,
): Settings {
  const driverName = values.driver ?? io.environment.SANDBOXES_DRIVER ?? "qemu";
  if (driverName !== "qemu" && driverName !== "memory") throw usageError(`There is no driver "${driverName}"`, hint);
  const memoryBudgetMiB = values.memory === undefined ? undefined : Number(values.memory);
  if (memoryBudgetMiB !== undefined && !(memoryBudgetMiB > 0)) {
    throw usageError(`"${values.memory}" of --memory is no number of MiB`, hint);
  }
  return {
    driverName,
    catalogueFile: values.catalogue,
    identityListen: values["identity-endpoint"],
    tls: readTls(values),
    tlsNames: values["tls-name"],
    token: values["token-file"] === undefined ? undefined : readToken(values["token-file"]),
    region: values.region ?? "local",
    admission: { memoryBudgetMiB },
    ...readNetwork(values, hint),
  };
}

function readTls(values: { tls?: string; "tls-cert"?: string; "tls-key"?: string }): HostServerOptions["tls"] {
  const { tls, "tls-cert": certFile, "tls-key": keyFile } = values;
  if (certFile !== undefined && keyFile !== undefined && tls === undefined) return { certFile, keyFile };
  if (certFile !== undefined || keyFile !== undefined) {
    throw usageError("--tls-cert and --tls-key belong together, and exclude --tls", hint);
  }
  if (tls === undefined || tls === "self-signed") return tls;
  throw usageError(`"${tls}" of --tls is not self-signed`, hint);
}

function readToken(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    throw usageError(`Cannot read the token file "${path}"`, hint);
  }
}

/** What a listener may not be is the command line's fault. */
function asUsage<Result>(create: () => Result): Result {
  try {
    return create();
  } catch (error) {
    throw isSandboxesError(error, "Invalid") ? usageError(error.message, error.hint ?? hint) : error;
  }
}
