import { localSubscriptionId } from "../client/localNames";
import type { SandboxApi } from "../client/sandboxApi";
import { type ProviderConfig, readProviderConfig, type Target } from "./providerConfig";

/** Where a group lives; taken from a resource's id, so that the id alone is enough to find it again. */
export interface GroupScope {
  subscriptionId: string;
  resourceGroupName: string;
}

/** Opens the API of one scope on one target; called once for each and shared. */
export type OpenApi = (config: ProviderConfig, scope: Partial<GroupScope>, target: Target) => Promise<SandboxApi>;

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

  /**
   * The target of a resource that does not say it itself, by its id or its group's: the subscription of zeros is that
   * of self-hosted endpoints; all others are on the configured target.
   */
  targetOf(id: unknown): Target {
    const isLocal = typeof id === "string" && id.startsWith(`/subscriptions/${localSubscriptionId}/`);
    return isLocal ? "microvm" : this.config.target;
  }

  /** The API for resources of that scope, by default the configured one; connects, or starts the host, on first use. */
  api(scope: Partial<GroupScope> = {}, target: Target = this.#targetOfScope(scope)): Promise<SandboxApi> {
    const key = `${target}/${scope.subscriptionId ?? ""}/${scope.resourceGroupName ?? ""}`;
    const open = this.#apis.get(key) ?? this.#open(this.config, scope, target);
    this.#apis.set(key, open);
    open.catch(() => this.#apis.delete(key));
    return open;
  }

  #targetOfScope({ subscriptionId }: Partial<GroupScope>): Target {
    return subscriptionId === localSubscriptionId ? "microvm" : this.config.target;
  }
}
