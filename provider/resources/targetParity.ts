import { newerDataPlaneVersion } from "../client/wire/versions";
import type { Parity } from "../pulumi/parity";
import { isBag, type PropertyBag } from "../pulumi/propertyBag";
import { asksMoreOfRules } from "./egressRules";

const isLocalReference = (value: unknown) => typeof value === "string" && /^(oci|docker-archive|rootfs):/.test(value);

const noIdentity = {
  support: "no",
  text: "managed identities exist on Azure only: give credentials to images, and secrets to egress rules",
} as const;

const noVnet = {
  support: "no",
  text: "a host is one machine outside of Azure; leave it out: an egress policy says what sandboxes reach through the host",
} as const;

const noStorage = {
  support: "no",
  text: "it is for storage of your own on Azure; the host keeps the files itself",
} as const;

const noPreset = {
  support: "no",
  text: "presets are Azure's own images: make a DiskImage of the agent, and give it its key by env or an egress rule",
} as const;

const noConnector = {
  support: "no",
  text: "connectors are services of Azure: let sandboxes reach the service by egress, with a Secret in a rule",
} as const;

const onlyHttp = {
  support: "no",
  text: "a host lets out HTTP and TLS through its own proxy, and nothing else: leave it out, and allow hosts by rules",
} as const;

/**
 * Where the targets differ, by resource and input; what is not listed works the same on both. `check` refuses by this
 * table, and the page about parity is made from it.
 */
export const targetParity = {
  SandboxGroup: {
    location: {
      microvm: { support: "yes", text: "a name only; the embedded host's is local" },
      azure: { support: "yes", text: "needed, here or as sandboxes:location; a region that has sandbox groups" },
    },
    resourceGroupName: {
      microvm: { support: "yes", text: "a name only" },
      azure: { support: "yes", text: "needed, here or as sandboxes:resourceGroupName; the resource group must exist" },
    },
    identity: { microvm: noIdentity },
    environmentId: {
      microvm: { support: "no", text: "managed environments exist on Azure only: leave it out" },
      azure: { support: "yes", text: "added in place; a change or its removal replaces the group" },
    },
    assignDataOwner: {
      microvm: {
        support: "partly",
        text: "a host has no roles: whoever has its token may do all",
        refuses: (value: unknown) => value === true,
      },
      azure: {
        support: "yes",
        text: "the role Container Apps SandboxGroup Data Owner; one that is there is left alone",
      },
    },
    requireHardwareIsolation: {
      azure: { support: "yes", text: "always so: every sandbox of Azure is a virtual machine of its own" },
    },
  },
  DiskImage: {
    image: {
      azure: {
        support: "partly",
        text: "Azure pulls from registries only: no oci:, docker-archive: or rootfs: of this machine",
        refuses: isLocalReference,
      },
    },
    blob: {
      microvm: { support: "no", text: "it is Azure's storage: rootfs:, docker-archive: or oci: as image reads a file" },
      azure: onlyOfNewerVersion(() => true),
    },
    identity: { microvm: noIdentity, azure: onlyOfNewerVersion((value) => value === "system", "system") },
    vnetConnection: { microvm: noVnet, azure: onlyOfNewerVersion(() => true) },
    entrypoint: { azure: notOfNewerVersion() },
    cmd: { azure: notOfNewerVersion() },
    warmUp: {
      azure: {
        support: "no",
        text: "Azure starts sandboxes from the image alone; run it in the sandbox and snapshot that",
      },
    },
  },
  Sandbox: {
    memory: { azure: { support: "yes", text: "default 2048Mi, which goes with 1000m" } },
    disk: { azure: { support: "yes", text: "default by the service; at most 20Gi for each cpu" } },
    labels: { azure: { support: "yes", text: "a change replaces the sandbox: Azure cannot change labels" } },
    ports: {
      microvm: {
        support: "partly",
        text: "callers are known by {anonymous: true} or the host's token, not by entraId or github",
        refuses: asksMoreOfPorts,
      },
    },
    egress: egressSupport(asksMoreOfEgress),
    vnetConnection: { microvm: noVnet },
    preset: { microvm: noPreset },
    anthropicApiKey: { microvm: noPreset },
    presetProperties: { microvm: noPreset },
    pod: {
      microvm: { support: "no", text: "a sandbox of a host is one container: make a Sandbox for each, or one image" },
    },
    artifactVersion: {
      microvm: { support: "no", text: "artifacts are kept by Azure: make a DiskImage of what you want to run" },
    },
    identitySettings: { microvm: noIdentity },
    agentIdentity: { microvm: noIdentity },
    connections: { microvm: noConnector },
    gatewayConnections: { microvm: noConnector },
    credentialRefs: {
      microvm: {
        support: "no",
        text: "credentials are for Azure's agents: give a token by a Secret in an egress rule",
      },
    },
    contentPackageDownloads: {
      microvm: {
        support: "no",
        text: "Azure keeps content packages: make a DiskImage with the files, or use a Volume",
      },
    },
    telemetryConfig: {
      microvm: { support: "no", text: "a host sends telemetry nowhere: read its logstream, stats and log" },
    },
    projectId: { microvm: { support: "no", text: "projects exist on Azure only: use labels" } },
    volumes: {
      microvm: {
        support: "partly",
        text: "not over /proc, /sys, /dev or /etc, and not one within another",
        refuses: hidesOthers,
      },
    },
    lifecycle: {
      microvm: {
        support: "partly",
        text: "not mode Disk, for a stop keeps programs; nothing happens by itself unless it is declared",
        refuses: (value: unknown) =>
          isBag(value) && isBag(value.autoSuspendPolicy) && value.autoSuspendPolicy.mode === "Disk",
      },
      azure: { support: "yes", text: "a sandbox of which nothing is said is suspended after 300 idle seconds" },
    },
  },
  Volume: {
    type: {
      microvm: {
        support: "partly",
        text: "AzureBlob, a directory for many sandboxes, and DataDisk, for one; both are kept on the host",
        refuses: (value: unknown) => value !== "AzureBlob" && value !== "DataDisk",
      },
    },
    size: {
      microvm: {
        support: "yes",
        text: "may grow in place, never become smaller; of an AzureBlob a limit, default 100Gi",
      },
      azure: {
        support: "partly",
        text: "of a DataDisk and an Esan only, the others have none; a change replaces it, and its files are gone",
        refuses: (_value: unknown, _config: unknown, { type }: PropertyBag) =>
          !["DataDisk", "Esan"].includes(String(type)),
      },
    },
    storageContainerResourceId: { microvm: noStorage },
    identity: { microvm: noStorage },
  },
  VnetConnection: {
    subnetId: { microvm: noVnet },
  },
  EgressPolicy: {
    rules: egressSupport(asksMoreOfRules),
    defaultForward: { microvm: onlyHttp },
    transportRules: { microvm: onlyHttp },
    tds: { microvm: onlyHttp },
  },
} as const satisfies Record<string, Parity>;

function notOfNewerVersion() {
  return {
    support: "partly",
    text: `not with sandboxes:apiVersion ${newerDataPlaneVersion}, which has no word for it: set it on the Sandbox`,
    refuses: (_value: unknown, { apiVersion }: { apiVersion: string }) => apiVersion === newerDataPlaneVersion,
  } as const;
}

function onlyOfNewerVersion(isOnlyThere: (value: unknown) => boolean, what?: string) {
  return {
    support: "partly",
    text: `${what ? `${what} ` : ""}only with sandboxes:apiVersion ${newerDataPlaneVersion}, the older one has no word for it`,
    refuses: (value: unknown, { apiVersion }: { apiVersion: string }) =>
      apiVersion !== newerDataPlaneVersion && isOnlyThere(value),
  } as const;
}

/** What only Azure's proxy can do for a port. */
function asksMoreOfPorts(ports: unknown): boolean {
  const asks = (port: unknown) => {
    if (!isBag(port)) return false;
    const { auth } = port;
    return isBag(auth) && ["entraId", "github"].some((name) => auth[name] !== undefined);
  };
  return Array.isArray(ports) && ports.some(asks);
}

/** The host's rules for the places of volumes. */
function hidesOthers(volumes: unknown): boolean {
  const mounts = Array.isArray(volumes) ? volumes.filter(isBag) : [];
  const places = mounts.flatMap(({ mountpoint }) => (typeof mountpoint === "string" ? [mountpoint] : []));
  const isTaken = (path: string) => /^\/(?:proc|sys|dev)(?:\/|$)|^\/etc$/.test(path);
  return places.some((path) => isTaken(path) || places.some((other) => other !== path && other.startsWith(`${path}/`)));
}

function asksMoreOfEgress(egress: unknown): boolean {
  if (!isBag(egress)) return false;
  const { defaultForward, transportRules, tds, rules } = egress;
  return [defaultForward, transportRules, tds].some((value) => value !== undefined) || asksMoreOfRules(rules);
}

function egressSupport(refuses: (value: unknown) => boolean) {
  return {
    microvm: {
      support: "partly",
      text:
        "HTTP and TLS only, by the host's own proxy: no hooks, managed identities, other proxies, routing modes, " +
        "transportRules or tds; https is opened only for hosts of which a rule looks at a path or method, or changes requests",
      refuses,
    },
  } as const;
}
