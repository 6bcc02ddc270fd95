import { randomUUID } from "node:crypto";
import type { PodSource } from "../../../provider/client/wire/pods";
import { cpuMillis, sizeMiB } from "../../../provider/client/wire/quantities";
import type { LifecyclePolicy, SandboxSource } from "../../../provider/client/wire/sandboxes";
import type { SandboxVolume } from "../../../provider/client/wire/volumes";
import { FolderVm } from "../../host/fakes/machines";
import { isPublicImage } from "./diskImages";
import type { Folders } from "./folders";
import type { Pace, StoredGroup, StoredPort, StoredResources, StoredSandbox } from "./model";
import { checkBody } from "./schemas";
import { mountVolume, requireMountable } from "./volumes";
import { jsonOf, older, WireError, type WireRequest } from "./wire";

const defaultLifecycle: LifecyclePolicy = {
  autoSuspendPolicy: { enabled: true, interval: 300, mode: "Memory" },
  autoDeletePolicy: { enabled: false },
};
const keptAsAsked = [
  ...(["vnetConnectionName", "customerVnetConnectionName", "identitySettings", "agentIdentity"] as const),
  ...(["connections", "credentialRefs", "contentPackageDownloads"] as const),
] as const;
/** What a preset's sandboxes are made of. */
const presetImages: Record<string, string> = { Claude: "claude", GitHubCopilot: "copilot" };

/** The sandbox that a request to create one asks for; it is not in the group yet. */
export function newSandbox(
  request: WireRequest,
  group: StoredGroup,
  { pace, violations, folders }: { pace: Pace; violations: string[]; folders: Folders },
): StoredSandbox {
  const body = checkBody("sandbox", jsonOf(request), request, violations);
  const source = sourceOf(request, group, body, violations);
  for (const name of ["vnetConnectionName", "customerVnetConnectionName"] as const) {
    const wanted = body[name];
    if (wanted && !group.vnetConnections.has(String(wanted).toLowerCase())) {
      throw new WireError(400, "InvalidRequest", `The VNet connection '${wanted}' was not found.`);
    }
  }
  if (body.egressPolicyId && !group.egressPolicies.has(body.egressPolicyId)) {
    throw new WireError(400, "InvalidRequest", `The egress policy '${body.egressPolicyId}' was not found.`);
  }
  const volumes = (body.volumes ?? []) as SandboxVolume[];
  for (const volume of volumes) requireMountable(group, volume);
  const id = randomUUID();
  const isSlow = pace.createPolls > 0;
  const sandbox: StoredSandbox = {
    id,
    labels: body.labels ?? {},
    sourcesRef: source.sourcesRef,
    resources: source.resources,
    entrypoint: source.entrypoint,
    environment: source.environment,
    lifecycle: { ...defaultLifecycle, ...body.lifecycle },
    ports: (body.ports ?? []).map((port) => portOf(id, port as StoredPort)),
    egressPolicy: body.egressPolicy ?? undefined,
    egressPolicyId: body.egressPolicyId ?? undefined,
    volumes,
    more: {
      ...Object.fromEntries(keptAsAsked.flatMap((name) => (body[name] === undefined ? [] : [[name, body[name]]]))),
      // The newer version's sandboxes do not tell the preset.
      ...(body.presetSandboxType && request.apiVersion === older && { presetSandboxType: body.presetSandboxType }),
      ...(body.gatewayConnections && { gatewayConnections: body.gatewayConnections.map(resolvedGateway) }),
    },
    createdAt: new Date().toISOString().replace("Z", "+00:00"),
    state: isSlow ? "Creating" : "Running",
    pollsLeft: pace.createPolls,
    settlesTo: isSlow ? "Running" : undefined,
    hiddenGets: pace.hiddenGets,
    vm: new FolderVm(id),
  };
  folders.restore(source.folder, sandbox.vm);
  for (const volume of volumes) mountVolume(folders, group, sandbox, volume);
  return sandbox;
}

/** With what the service fills in. */
export function portOf(id: string, port: StoredPort): StoredPort {
  if (!port.auth) throw new WireError(400, "InvalidRequest", "auth is required.", { auth: ["auth is required."] });
  return {
    activationMode: "Manual",
    protocol: "Http",
    ...port,
    url: `https://${id}--${port.port}.eastus2.adcproxy.io`,
  };
}

type Source = Pick<StoredSandbox, "sourcesRef" | "resources" | "entrypoint" | "environment"> & { folder?: string };
type Body = ReturnType<typeof checkBody<"sandbox">>;

function sourceOf(request: WireRequest, group: StoredGroup, body: Body, violations: string[]): Source {
  const { diskImage, snapshot, pod, artifactVersion } = body.sourcesRef ?? {};
  const ownResources = {
    resources: resourcesOf(body.resources),
    entrypoint: body.entrypoint,
    environment: body.environment ?? {},
  };
  if (pod) return { ...ownResources, sourcesRef: { pod: shownPod(request, group, pod, violations) } };
  if (artifactVersion) return { ...ownResources, sourcesRef: { artifactVersion } };
  const presetImage = presetImages[body.presetSandboxType ?? ""];
  if (presetImage) {
    if (body.sourcesRef) violations.push(`${request.method} ${request.path}: a preset has its own source`);
    return { ...ownResources, sourcesRef: { diskImage: { name: presetImage, isPublic: true } } };
  }
  if (snapshot) {
    const found = group.snapshots.get(snapshot.id);
    if (!found) throw new WireError(400, "SnapshotNotFound", "The snapshot was not found.");
    const inherited = (["resources", "environment", "entrypoint", "cmd"] as const).filter((name) => body[name]);
    if (inherited.length > 0) {
      violations.push(`${request.method} ${request.path}: a snapshot's ${inherited.join(", ")} cannot be changed`);
    }
    const { resources, entrypoint, environment, folder } = found;
    return { sourcesRef: { snapshot: { id: found.id } }, resources, entrypoint, environment, folder };
  }
  if (!diskImage) {
    const text = "'sourcesRef' is required when not using a preset sandbox type";
    throw new WireError(400, "InvalidRequest", text, { sourcesRef: [text] });
  }
  const image = imageOf(request, group, diskImage, violations);
  return {
    ...ownResources,
    sourcesRef: { diskImage: { ...diskImage, isPublic: !diskImage.id } },
    entrypoint: body.entrypoint ?? image?.image.entrypoint,
    folder: image?.folder,
  };
}

type DiskImageSource = NonNullable<SandboxSource["diskImage"]>;

function imageOf(
  request: WireRequest,
  group: StoredGroup,
  { id, name, isPublic }: DiskImageSource,
  violations: string[],
) {
  if (Boolean(id) === Boolean(isPublic)) {
    violations.push(`${request.method} ${request.path}: isPublic goes with a name, and with no id`);
  }
  const image = id ? group.images.get(id) : undefined;
  const known = id ? image?.state === "Ready" : isPublicImage(name ?? "");
  if (!known) throw new WireError(400, "ImageNotFound", "The disk image was not found.");
  return image;
}

/** As views show it: with what the service fills in, and without environments, which are written only. */
function shownPod(request: WireRequest, group: StoredGroup, pod: PodSource, violations: string[]): object {
  const containers = pod.containers.map(({ env, ...container }) => {
    const { diskImage } = container;
    if (diskImage) imageOf(request, group, diskImage, violations);
    return { ...container, ...(diskImage && { diskImage: { ...diskImage, isPublic: !diskImage.id } }) };
  });
  return { restartPolicy: "Always", ...pod, containers };
}

/** With what the service resolves. */
function resolvedGateway({ resourceId }: { resourceId: string }): object {
  return { resourceId, name: resourceId.split("/").at(-1), mcpRuntimeUrl: "https://gateway.test/mcp" };
}

function resourcesOf(asked: { cpu: string; memory: string; disk?: string | null } | undefined): StoredResources {
  const { cpu, memory, disk } = asked ?? { cpu: "1000m", memory: "2048Mi" };
  const most = Math.floor((cpuMillis(cpu) * 20 * 1024) / 1000);
  if (disk && sizeMiB(disk) > most) {
    throw new WireError(400, "InvalidResourceTier", `Disk size '${disk}' exceeds tier maximum '${most}Mi'.`);
  }
  return { cpu, memory, disk: disk ?? `${Math.min(10240, most)}Mi` };
}
