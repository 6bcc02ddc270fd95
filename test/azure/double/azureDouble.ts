import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { selfSignedTls } from "../../../provider/host/serverTls";
import { ControlPlane } from "./controlPlane";
import { DataPlane } from "./dataPlane";
import { ExecStreams } from "./execStream";
import { Faults, throttledAnswer } from "./faults";
import { Folders } from "./folders";
import { type Handler, Listener, type UpgradeHandler } from "./listener";
import { type emptyContent, type Pace, promptPace } from "./model";
import { checkRequest } from "./queries";
import { stop } from "./sandboxLife";
import { Tokens } from "./tokens";
import { WireError, type WireReply, type WireRequest } from "./wire";

/** What Azure has, by kind. */
export interface Counts {
  groups: number;
  vnetConnections: number;
  diskImages: number;
  sandboxes: number;
  snapshots: number;
  volumes: number;
  secrets: number;
  egressPolicies: number;
}

export const nothing: Counts = {
  groups: 0,
  vnetConnections: 0,
  diskImages: 0,
  sandboxes: 0,
  snapshots: 0,
  volumes: 0,
  secrets: 0,
  egressPolicies: 0,
};

export const controlAudience = "https://management.double.test";
const dataAudiences = ["https://dynamicsessions.io", "https://management.azuredevcompute.io"];

/**
 * Azure in this process: control plane, data plane and token endpoint on three loopback addresses over TLS, made from
 * recordings and the notes on them. It errs on purpose when told to, notes every request that the real one would not
 * understand, and counts what there is. Nothing of our host is in it but the folders that stand for machines.
 */
export class AzureDouble implements AsyncDisposable {
  readonly subscriptionId = "33333333-3333-3333-3333-333333333333";
  readonly resourceGroup = "rg-double";
  readonly location = "eastus2";
  readonly faults = new Faults();
  readonly tokens = new Tokens();
  readonly pace: Pace = { ...promptPace, operationErrors: [] };
  /** Requests as they came, in their order. */
  readonly requests: WireRequest[] = [];
  /** What the real one would not have understood. A test ends by finding none. */
  readonly violations: string[] = [];
  readonly control: ControlPlane;
  /** PEM text, and the file that holds it. */
  ca = "";
  caFile = "";
  controlEndpoint = "";
  dataEndpoint = "";
  authority = "";
  readonly #folder = mkdtempSync(join(tmpdir(), "azure-"));
  readonly #data: DataPlane;
  readonly #streams = new ExecStreams(this.violations);
  readonly #listeners: Listener[] = [];
  #working = 0;
  /** Requests of the data plane that were carried out at the same time, at most. */
  mostWorking = 0;
  /** Requests that were too many at once. */
  throttled = 0;

  private constructor() {
    this.control = new ControlPlane(this.pace, this.violations, this.subscriptionId, [this.resourceGroup]);
    this.#data = new DataPlane(this.control, this.pace, this.violations, new Folders(this.#folder));
  }

  static async start(pace: Partial<Pace> = {}): Promise<AzureDouble> {
    const double = new AzureDouble();
    Object.assign(double.pace, pace);
    await double.#start();
    return double;
  }

  async #start(): Promise<void> {
    const tls = await selfSignedTls(this.#folder, []);
    this.caFile = tls.caFile ?? "";
    this.ca = readFileSync(this.caFile, "utf8");
    const open = (plane: WireRequest["plane"], handle: Handler): Promise<string> => {
      const listener = this.#listener(tls, plane, handle);
      this.#listeners.push(listener);
      return listener.listen();
    };
    this.authority = await open("authority", (request) => this.tokens.handle(request, this.authority));
    this.controlEndpoint = await open("control", (request) => {
      this.tokens.require(request, [controlAudience]);
      checkRequest(request, this.violations);
      return this.control.handle(request);
    });
    this.dataEndpoint = await open("data", (request) => this.#admit(request) ?? this.#work(request));
    this.control.endpoint = this.controlEndpoint;
    this.control.dataEndpoint = this.dataEndpoint;
  }

  #listener(tls: { key: string; cert: string }, plane: WireRequest["plane"], handle: Handler): Listener {
    const upgrade: UpgradeHandler = (request, incoming, socket, head) =>
      this.#streams.upgrade(request, incoming, socket, head, (asked) => {
        if (this.#admit(asked)) throw new WireError(403, "", "");
        return this.#data.streamTarget(asked);
      });
    return new Listener(plane, tls, this.faults, this.requests, handle, plane === "data" ? upgrade : undefined);
  }

  /** The refusal of a caller without a role: a status and nothing else. */
  #admit(request: WireRequest): WireReply | undefined {
    this.tokens.require(request, dataAudiences);
    const { group } = this.#data.open(request);
    const isMissing = this.pace.needsRole && !this.control.hasRole(group, this.tokens.principalId);
    return isMissing || performance.now() < group.roleFrom ? { status: 403 } : undefined;
  }

  /** As much at once as it is set to, and each as slowly; what is more is throttled. */
  async #work(request: WireRequest): Promise<WireReply> {
    checkRequest(request, this.violations);
    if (hangs(request)) {
      this.violations.push(`${request.method} ${request.path} has no body, and is not answered`);
      return new Promise(() => {});
    }
    if (this.#working >= this.pace.mostAtOnce) {
      this.throttled += 1;
      return throttledAnswer(0);
    }
    this.#working += 1;
    this.mostWorking = Math.max(this.mostWorking, this.#working);
    try {
      if (this.pace.workMs > 0) await sleep(this.pace.workMs);
      return await this.#data.handle(request);
    } finally {
      this.#working -= 1;
    }
  }

  /** Stops a sandbox as the service does when nobody has used it for long. */
  suspendIdle(id: string): void {
    for (const { sandboxes } of this.control.groups.values()) {
      const sandbox = sandboxes.get(id);
      if (sandbox) stop(sandbox, { ...this.pace, stopPolls: 0 }, "Idle");
    }
  }

  /** What is there; groups that are being deleted too. */
  counts(): Counts {
    const groups = [...this.control.groups.values()];
    const sum = (kind: keyof ReturnType<typeof emptyContent>) => groups.reduce((all, each) => all + each[kind].size, 0);
    return {
      groups: groups.length,
      vnetConnections: sum("vnetConnections"),
      diskImages: sum("images"),
      sandboxes: sum("sandboxes"),
      snapshots: sum("snapshots"),
      volumes: sum("volumes"),
      secrets: sum("secrets"),
      egressPolicies: sum("egressPolicies"),
    };
  }

  /** Requests whose path matches. */
  sent(method: string, path: RegExp): WireRequest[] {
    return this.requests.filter((request) => request.method === method && path.test(request.path));
  }

  /** Forgets what there was, and all faults; the addresses stay. */
  reset(pace: Partial<Pace> = {}): void {
    this.#end();
    this.control.groups.clear();
    this.control.operations.clear();
    this.control.roles.all.clear();
    this.faults.clear();
    this.requests.length = 0;
    this.violations.length = 0;
    this.mostWorking = 0;
    this.throttled = 0;
    Object.assign(this.pace, promptPace, { operationErrors: [] }, pace);
  }

  /** Settings that lead to the double, with a client secret, in azure-native's names. */
  settings(): Record<string, string> {
    return {
      subscriptionId: this.subscriptionId,
      tenantId: this.tokens.tenant,
      clientId: this.tokens.clientId,
      clientSecret: this.tokens.clientSecret,
      ...this.cloud(),
    };
  }

  /** The part of the settings that names the cloud. */
  cloud(): Record<string, string> {
    return {
      resourceManagerEndpoint: this.controlEndpoint,
      resourceManagerAudience: controlAudience,
      activeDirectoryAuthorityHost: this.authority,
      disableInstanceDiscovery: "true",
    };
  }

  /** Configuration of the provider for a stack on the double. */
  config(more: Record<string, string> = {}): Record<string, string> {
    const all = {
      target: "azure",
      resourceGroupName: this.resourceGroup,
      location: this.location,
      caCertificate: this.ca,
      ...this.settings(),
      ...more,
    };
    return Object.fromEntries(Object.entries(all).map(([key, value]) => [`sandboxes:${key}`, value]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end();
    this.#streams.close();
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #end(): void {
    for (const { sandboxes } of this.control.groups.values()) {
      for (const sandbox of sandboxes.values()) sandbox.vm.crash("the test ended");
    }
  }
}

/** The real one was seen to leave these without an answer for minutes. */
function hangs({ method, path, headers }: WireRequest): boolean {
  return method === "POST" && /\/(stop|resume)$/.test(path) && !headers["content-type"];
}
