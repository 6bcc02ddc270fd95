import { SandboxApi } from "../../provider/client/sandboxApi";
import type { Resource } from "../../provider/pulumi/defineResource";
import type { PropertyBag } from "../../provider/pulumi/propertyBag";
import { Session } from "../../provider/pulumi/session";
import { diskImage } from "../../provider/resources/diskImage";
import { sandbox } from "../../provider/resources/sandbox";
import { sandboxGroup } from "../../provider/resources/sandboxGroup";
import { RunningHost } from "../host/fakes/runningHost";

export interface Existing {
  id: string;
  state: PropertyBag;
}

/** A host in this process, and provider processes that meet it; each `session` stands for one. */
export class ResourceHost {
  readonly host = new RunningHost();
  readonly #apis: SandboxApi[] = [];

  async start(): Promise<this> {
    await this.host.start();
    return this;
  }

  /** A provider process that has just begun: it knows nothing of what others made. */
  session(config: Record<string, string> = {}): Session {
    const session = new Session(async (settings, scope) => {
      const api = new SandboxApi({
        endpoint: `unix:${this.host.socket}`,
        subscriptionId: scope.subscriptionId ?? settings.subscriptionId ?? "s1",
        resourceGroupName: scope.resourceGroupName ?? settings.resourceGroupName ?? "local",
      });
      this.#apis.push(api);
      return api;
    });
    session.configure((key) => config[key]);
    return session;
  }

  group(session: Session, news: PropertyBag = {}): Promise<Existing> {
    return make(sandboxGroup, session, { __key: keyOf("group"), __logicalName: "lab", ...news });
  }

  image(session: Session, group: Existing, news: PropertyBag = {}): Promise<Existing> {
    return make(diskImage, session, { __key: keyOf("image"), group: group.id, image: "python", ...news });
  }

  sandbox(session: Session, group: Existing, news: PropertyBag = {}): Promise<Existing> {
    return make(sandbox, session, { __key: keyOf("sandbox"), group: group.id, image: "python", ...news });
  }

  /** How many the host has of each kind. */
  async counts(): Promise<Record<string, number>> {
    return (await this.host.call("GET", "/status")).body.counts;
  }

  async close(): Promise<void> {
    await Promise.all(this.#apis.map((api) => api.close()));
    await this.host.close();
  }
}

/** 32 hex digits that differ by name. */
export function keyOf(name: string): string {
  return Buffer.from(name).toString("hex").padEnd(32, "0").slice(0, 32);
}

/** Check and create, as the engine does. */
export async function make(resource: Resource, session: Session, news: PropertyBag): Promise<Existing> {
  return resource.create(session, inputsOf(resource, session, news));
}

/** Checked inputs; throws what check found. */
export function inputsOf(resource: Resource, session: Session, news: PropertyBag): PropertyBag {
  const { inputs, failures } = resource.check(session, {}, news);
  if (failures.length > 0) throw new Error(failures.map(({ property, reason }) => `${property}: ${reason}`).join("; "));
  return inputs;
}
