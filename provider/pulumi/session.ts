import { SandboxesError } from "../client/errors";
import type { SandboxApi } from "../client/sandboxApi";
import { type ProviderConfig, readProviderConfig, targetObstacle } from "./providerConfig";

/** Where a group lives; taken from a resource's id, so that the id alone is enough to find it again. */
export interface GroupScope {
  subscriptionId: string;
  resourceGroupName: string;
}

/** Opens the API of one scope; called once per scope and shared. */
export type OpenApi = (config: ProviderConfig, scope: Partial<GroupScope>) => Promise<SandboxApi>;

/**
 * What the resources of one provider process share: configuration, connections, and the ids that the engine is known
 * to have in its state. Lives as long as the process.
 */
export class Session {
  /** Ids of the state, and of what this process created: nobody may adopt these. */
  readonly knownIds = new Set<string>();
  readonly #open: OpenApi;
  readonly #apis = new Map<string, Promise<SandboxApi>>();
  #look: (key: string) => string | undefined = () => undefined;
  #config: ProviderConfig | undefined;

  constructor(open: OpenApi) {
    this.#open = open;
  }

  /** Keeps the configuration; synchronous, since the engine does not wait for it before the next call. Repeatable. */
  configure(get: (key: string) => string | undefined): void {
    this.#look = get;
    this.#config = undefined;
  }

  get config(): ProviderConfig {
    this.#config ??= readProviderConfig(this.#look);
    return this.#config;
  }

  /** The API for resources of that scope, by default the configured one; connects, or starts the host, on first use. */
  api(scope: Partial<GroupScope> = {}): Promise<SandboxApi> {
    const obstacle = targetObstacle(this.config.target);
    if (obstacle) return Promise.reject(new SandboxesError("Unsupported", obstacle));
    const key = `${scope.subscriptionId ?? ""}/${scope.resourceGroupName ?? ""}`;
    const open = this.#apis.get(key) ?? this.#open(this.config, scope);
    this.#apis.set(key, open);
    open.catch(() => this.#apis.delete(key));
    return open;
  }
}
