import { randomUUID } from "node:crypto";
import { cpuMillis, sizeMiB } from "../../../provider/client/wire/quantities";
import { FolderVm } from "../../host/fakes/machines";
import { isPublicImage } from "./diskImages";
import { labelled, listOf, requireGuid, requireMethod } from "./listing";
import type { Pace, StoredGroup, StoredPort, StoredSandbox } from "./model";
import { checkBody } from "./schemas";
import { jsonOf, older, WireError, type WireReply, type WireRequest } from "./wire";

const defaultLifecycle = { autoSuspendPolicy: { enabled: true, interval: 300, mode: "Memory" } };

/** Sandboxes, with the views that the service was recorded to answer: fields come and go with the state. */
export class Sandboxes {
  readonly #pace: Pace;
  readonly #violations: string[];

  constructor(pace: Pace, violations: string[]) {
    this.#pace = pace;
    this.#violations = violations;
  }

  handle(request: WireRequest, group: StoredGroup, id?: string, verb?: string, more?: string): WireReply {
    if (id === undefined || id === "") {
      if (request.method !== "GET") return this.#create(request, group);
      return listOf(
        request,
        labelled(request, [...group.sandboxes.values()]).map((each) => viewOf(each, request)),
      );
    }
    if (id === "count") return { status: 200, json: group.sandboxes.size };
    const sandbox = group.sandboxes.get(requireGuid(id));
    if (request.method === "DELETE") return this.#delete(request, group, sandbox);
    if (!sandbox) throw notFound();
    if (request.method === "GET" && verb === undefined) {
      if (sandbox.hiddenGets-- > 0) throw notFound();
      advance(sandbox);
      return { status: 200, json: viewOf(sandbox, request) };
    }
    if (request.method === "GET" && verb === "ports") return { status: 200, json: { ports: sandbox.ports } };
    if (request.method !== "POST") throw new WireError(405, "MethodNotAllowed", request.method);
    if (verb === "stop") return this.#stop(request, sandbox);
    if (verb === "resume") return this.#resume(request, sandbox);
    if (verb === "ports") return this.#changePorts(request, sandbox, more);
    if (verb === "egresspolicy") {
      sandbox.egressPolicy = checkBody("egress", jsonOf(request), request, this.#violations);
      sandbox.egressPolicyId = undefined;
      return { status: 200, json: sandbox.egressPolicy };
    }
    throw new WireError(404, "NotFound", request.path);
  }

  /** The sandbox to run something in. */
  running(group: StoredGroup, id: string): StoredSandbox {
    const sandbox = group.sandboxes.get(requireGuid(id));
    if (!sandbox) throw notFound();
    if (sandbox.state !== "Running") throw notRunning(sandbox);
    return sandbox;
  }

  #create(request: WireRequest, group: StoredGroup): WireReply {
    requireMethod(request, "PUT", "POST");
    const body = checkBody("sandbox", jsonOf(request), request, this.#violations);
    const { diskImage, snapshot } = body.sourcesRef ?? {};
    if (!diskImage && !snapshot) throw new WireError(400, "InvalidRequest", "'sourcesRef' is required.");
    const image = diskImage?.id ? group.images.get(diskImage.id) : undefined;
    const known = diskImage?.id ? image?.state === "Ready" : isPublicImage(diskImage?.name ?? "");
    if (!known) throw new WireError(400, "ImageNotFound", `The disk image was not found.`);
    const id = randomUUID();
    const sandbox: StoredSandbox = {
      id,
      labels: body.labels ?? {},
      sourcesRef: { diskImage: { ...diskImage, isPublic: !diskImage?.id } },
      resources: resourcesOf(body.resources),
      entrypoint: body.entrypoint ?? image?.image.entrypoint,
      environment: body.environment ?? {},
      lifecycle: body.lifecycle ?? defaultLifecycle,
      ports: (body.ports ?? []).map((port) => portOf(id, port as StoredPort)),
      egressPolicy: body.egressPolicy ?? undefined,
      egressPolicyId: body.egressPolicyId ?? undefined,
      createdAt: new Date().toISOString().replace("Z", "+00:00"),
      state: this.#pace.createPolls > 0 ? "Creating" : "Running",
      pollsLeft: this.#pace.createPolls,
      settlesTo: this.#pace.createPolls > 0 ? "Running" : undefined,
      hiddenGets: this.#pace.hiddenGets,
      vm: new FolderVm(id),
    };
    group.sandboxes.set(id, sandbox);
    return { status: request.apiVersion === older ? 200 : 201, json: viewOf(sandbox, request, true) };
  }

  #changePorts(request: WireRequest, sandbox: StoredSandbox, verb?: string): WireReply {
    if (verb === "add") {
      const port = checkBody("port", jsonOf(request), request, this.#violations) as StoredPort;
      if (sandbox.ports.some((other) => other.port === port.port)) {
        throw new WireError(409, "PortAlreadyExists", `Port ${port.port} already exists.`);
      }
      sandbox.ports.push(portOf(sandbox.id, port));
    } else {
      const { port } = jsonOf(request) as { port: number };
      const at = sandbox.ports.findIndex((other) => other.port === port);
      if (at < 0) throw new WireError(404, "PortNotFound", `Port ${port} was not found.`);
      sandbox.ports.splice(at, 1);
    }
    return { status: 200, json: { ports: sandbox.ports } };
  }

  #delete(request: WireRequest, group: StoredGroup, sandbox: StoredSandbox | undefined): WireReply {
    if (!sandbox) return { status: 204 };
    sandbox.vm.crash("deleted");
    group.sandboxes.delete(sandbox.id);
    return { status: request.apiVersion === older ? 200 : 204 };
  }

  #stop(request: WireRequest, sandbox: StoredSandbox): WireReply {
    if (String(request.headers["content-type"]) !== "application/json")
      this.#violations.push("a stop without a body hangs");
    if (sandbox.state !== "Running") throw notRunning(sandbox);
    sandbox.state = this.#pace.stopPolls > 0 ? "Stopping" : "Stopped";
    sandbox.settlesTo = "Stopped";
    sandbox.pollsLeft = this.#pace.stopPolls;
    sandbox.snapshotId = randomUUID();
    const stoppedAt = new Date().toISOString();
    sandbox.stateDetails = { stoppedReason: "UserStopped", stoppedAt };
    const { id: sandboxId, snapshotId, resources } = sandbox;
    const json = { id: snapshotId, labels: {}, sandboxId, createdAtUtc: stoppedAt, resources, sizeInMB: 39 };
    return { status: 200, json };
  }

  #resume(request: WireRequest, sandbox: StoredSandbox): WireReply {
    if (String(request.headers["content-type"]) !== "application/json")
      this.#violations.push("a resume without a body hangs");
    if (sandbox.state !== "Stopped") {
      throw new WireError(409, "InvalidSandboxState", `Sandbox '${sandbox.id}' is not in Stopped state`);
    }
    sandbox.state = "Running";
    sandbox.settlesTo = undefined;
    return { status: 200, json: viewOf(sandbox, request) };
  }
}

/** With what the service fills in. */
function portOf(id: string, port: StoredPort): StoredPort {
  if (!port.auth) throw new WireError(400, "InvalidRequest", "auth is required.", { auth: ["auth is required."] });
  const url = `https://${id}--${port.port}.eastus2.adcproxy.io`;
  return { activationMode: "Manual", protocol: "Http", ...port, url };
}

function advance(sandbox: StoredSandbox): void {
  if (!sandbox.settlesTo || sandbox.pollsLeft-- > 0) return;
  sandbox.state = sandbox.settlesTo;
  sandbox.settlesTo = undefined;
}

function notFound(): WireError {
  return new WireError(404, "SandboxNotFound", "Requested document not found.");
}

function notRunning({ id }: StoredSandbox): WireError {
  return new WireError(409, "SandboxNotRunning", `Sandbox '${id}' is not in Running state`);
}

function resourcesOf(asked: { cpu: string; memory: string; disk?: string | null } | undefined) {
  const { cpu, memory, disk } = asked ?? { cpu: "1000m", memory: "2048Mi" };
  const most = Math.floor((cpuMillis(cpu) * 20 * 1024) / 1000);
  if (disk && sizeMiB(disk) > most) {
    throw new WireError(400, "InvalidResourceTier", `Disk size '${disk}' exceeds tier maximum '${most}Mi'.`);
  }
  return { cpu, memory, disk: disk ?? `${Math.min(10240, most)}Mi` };
}

function viewOf(sandbox: StoredSandbox, request: WireRequest, isNew = false): object {
  const { id, labels, sourcesRef, resources, createdAt, state, ports, lifecycle, entrypoint } = sandbox;
  const { stateDetails, snapshotId, egressPolicy, egressPolicyId } = sandbox;
  return {
    id,
    labels,
    ...(request.apiVersion === older && { vmmType: "cloudhypervisor" }),
    ...(isNew && entrypoint && { entrypoint }),
    sourcesRef,
    resources,
    createdAt,
    state,
    ...(stateDetails && { stateDetails, snapshotId, coldStorageSizeInMB: 39 }),
    ports,
    ...(egressPolicy && { egressPolicy }),
    ...(egressPolicyId && { egressPolicyId }),
    connections: [],
    credentialRefs: [],
    ...(state === "Running" && { region: "eastus2" }),
    lifecycle,
    managementUrl: `https://${request.headers.host}`,
    volumes: [],
    contentPackageDownloads: [],
  };
}
