import type { HttpOptions } from "../../provider/client/http";
import type { SandboxApi } from "../../provider/client/sandboxApi";
import type { PropertyBag } from "../../provider/pulumi/propertyBag";
import { Session } from "../../provider/pulumi/session";
import { diskImage } from "../../provider/resources/diskImage";
import { sandbox } from "../../provider/resources/sandbox";
import { sandboxGroup } from "../../provider/resources/sandboxGroup";
import { AzureDouble } from "../azure/double/azureDouble";
import type { Pace } from "../azure/double/model";
import { doubleApi } from "../azure/doubleApi";
import { type Existing, keyOf, make } from "./resourceHost";

/** The double of Azure, and provider processes that meet it; each `session` stands for one. */
export class ResourceAzure {
  readonly double: AzureDouble;
  readonly #apiVersion: string;
  readonly #apis: SandboxApi[] = [];
  /** For thousands of sessions that share their connections, whose making takes most of the time. */
  readonly #shared: HttpOptions | undefined;

  private constructor(double: AzureDouble, apiVersion: string, shared?: HttpOptions) {
    this.double = double;
    this.#apiVersion = apiVersion;
    this.#shared = shared;
  }

  static async start(apiVersion: string, pace: Partial<Pace> = {}, shared?: HttpOptions): Promise<ResourceAzure> {
    return new ResourceAzure(await AzureDouble.start(pace), apiVersion, shared);
  }

  /** A provider process that has just begun: it knows nothing of what others made. */
  session(config: Record<string, string> = {}): Session {
    const session = new Session(async (settings, scope) => {
      const resourceGroupName = scope.resourceGroupName ?? this.double.resourceGroup;
      const kept = this.#shared && this.#apis.find((api) => api.connection.resourceGroupName === resourceGroupName);
      if (kept) return kept;
      const api = doubleApi(this.double, { apiVersion: settings.apiVersion, ...this.#shared });
      api.connection.resourceGroupName = resourceGroupName;
      this.#apis.push(api);
      return api;
    });
    const all = { ...this.double.config({ apiVersion: this.#apiVersion }), ...config };
    session.configure((key) => all[key]);
    return session;
  }

  group(session: Session, news: PropertyBag = {}): Promise<Existing> {
    return make(sandboxGroup, session, { __key: keyOf("group"), __logicalName: "lab", ...news });
  }

  image(session: Session, group: Existing, news: PropertyBag = {}): Promise<Existing> {
    return make(diskImage, session, { __key: keyOf("image"), group: group.id, image: "python:3.12", ...news });
  }

  sandbox(session: Session, group: Existing, news: PropertyBag = {}): Promise<Existing> {
    return make(sandbox, session, { __key: keyOf("sandbox"), group: group.id, image: "python", ...news });
  }

  /** Throws when Azure would not have understood something that was asked of it. */
  async close(): Promise<void> {
    const { violations } = this.double;
    await Promise.all(this.#apis.map((api) => api.close()));
    await this.double[Symbol.asyncDispose]();
    if (violations.length > 0) throw new Error(`Azure does not know:\n${violations.join("\n")}`);
  }
}
