import type { Folders } from "./folders";
import { labelled, listOf, requireGuid, requireMethod } from "./listing";
import type { Pace, StoredGroup, StoredPort, StoredSandbox } from "./model";
import { newSandbox, portOf } from "./newSandbox";
import { advance, disable, enable, isDisabled, notRunning, resume, stop, wake } from "./sandboxLife";
import { shownPolicy, viewOf } from "./sandboxView";
import { checkBody } from "./schemas";
import { statsOf } from "./stats";
import { jsonOf, older, WireError, type WireReply, type WireRequest } from "./wire";

/** Sandboxes, with the answers that the service was recorded to give. */
export class Sandboxes {
  readonly #pace: Pace;
  readonly #violations: string[];
  readonly #folders: Folders;

  constructor(pace: Pace, violations: string[], folders: Folders) {
    this.#pace = pace;
    this.#violations = violations;
    this.#folders = folders;
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
    if (request.method === "DELETE" && verb === undefined) return this.#delete(request, group, sandbox);
    if (!sandbox) throw notFound();
    if (request.method === "GET") return this.#read(request, sandbox, verb);
    if (verb === "ports") return this.#changePorts(request, sandbox, more);
    if (request.method !== "POST") throw new WireError(405, "MethodNotAllowed", request.method);
    return this.#act(request, sandbox, verb);
  }

  /** The sandbox to run something in; `onDemand` wakes one that is stopped. */
  running(group: StoredGroup, id: string, onDemand = false): StoredSandbox {
    const sandbox = group.sandboxes.get(requireGuid(id));
    if (!sandbox) throw notFound();
    if (onDemand && sandbox.state === "Stopped" && !isDisabled(sandbox)) wake(sandbox);
    if (sandbox.state !== "Running") throw notRunning(sandbox);
    return sandbox;
  }

  #create(request: WireRequest, group: StoredGroup): WireReply {
    requireMethod(request, "PUT", "POST");
    const parts = { pace: this.#pace, violations: this.#violations, folders: this.#folders };
    const sandbox = newSandbox(request, group, parts);
    group.sandboxes.set(sandbox.id, sandbox);
    return { status: request.apiVersion === older ? 200 : 201, json: viewOf(sandbox, request, true) };
  }

  #read(request: WireRequest, sandbox: StoredSandbox, verb?: string): WireReply {
    if (verb === "ports") return { status: 200, json: { ports: sandbox.ports } };
    if (verb === "stats") {
      if (sandbox.state !== "Running") throw notRunning(sandbox);
      return { status: 200, json: statsOf(sandbox) };
    }
    if (verb === (request.apiVersion === older ? "egress-decisions" : "egressDecisions")) {
      const none = { allowed: [], denied: [] };
      const decisions = request.apiVersion === older ? { networkEgress: none } : { http: none };
      return { status: 200, json: { ...decisions, lastUpdated: sandbox.createdAt } };
    }
    if (verb !== undefined) throw new WireError(404, "NotFound", request.path);
    if (sandbox.hiddenGets-- > 0) throw notFound();
    advance(sandbox);
    return { status: 200, json: viewOf(sandbox, request) };
  }

  #act(request: WireRequest, sandbox: StoredSandbox, verb?: string): WireReply {
    if (verb === "egresspolicy") {
      sandbox.egressPolicy = checkBody("egress", jsonOf(request), request, this.#violations);
      sandbox.egressPolicyId = undefined;
      return { status: 200, json: shownPolicy(sandbox.egressPolicy, request) };
    }
    if (verb === "lifecycle") {
      const policy = checkBody("lifecycle", jsonOf(request), request, this.#violations);
      sandbox.lifecycle = { ...sandbox.lifecycle, ...policy };
      return { status: 200, json: viewOf(sandbox, request) };
    }
    if (verb !== "stop" && verb !== "resume" && verb !== "disable" && verb !== "enable") {
      throw new WireError(404, "NotFound", request.path);
    }
    checkBody("none", jsonOf(request), request, this.#violations);
    if (verb === "stop") return stop(sandbox, this.#pace);
    if (verb === "disable") return disable(request, sandbox, this.#pace);
    return verb === "resume" ? resume(request, sandbox) : enable(request, sandbox);
  }

  #changePorts(request: WireRequest, sandbox: StoredSandbox, verb?: string): WireReply {
    if (request.method === "PUT" && verb === undefined) {
      const { ports } = checkBody("ports", jsonOf(request), request, this.#violations);
      sandbox.ports = ports.map((port) => portOf(sandbox.id, port as StoredPort));
    } else if (verb === "add") {
      const port = checkBody("port", jsonOf(request), request, this.#violations) as StoredPort;
      if (sandbox.ports.some((other) => other.port === port.port)) {
        throw new WireError(409, "PortAlreadyExists", `Port ${port.port} already exists.`);
      }
      sandbox.ports = [...sandbox.ports, portOf(sandbox.id, port)];
    } else if (verb === "remove") {
      const { port } = checkBody("portRemoval", jsonOf(request), request, this.#violations) as { port?: number };
      if (!sandbox.ports.some((other) => other.port === port)) {
        throw new WireError(404, "PortNotFound", `Port ${port} was not found.`);
      }
      sandbox.ports = sandbox.ports.filter((other) => other.port !== port);
    } else throw new WireError(404, "NotFound", request.path);
    return { status: 200, json: { ports: sandbox.ports } };
  }

  #delete(request: WireRequest, group: StoredGroup, sandbox: StoredSandbox | undefined): WireReply {
    if (!sandbox) return { status: 204 };
    sandbox.vm.crash("deleted");
    group.sandboxes.delete(sandbox.id);
    return { status: request.apiVersion === older ? 200 : 204 };
  }
}

function notFound(): WireError {
  return new WireError(404, "SandboxNotFound", "Requested document not found.");
}
