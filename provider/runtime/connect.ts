import { openGroup } from "../client/defaultGroup";
import { type ConnectionOptions, resolveConnection } from "../client/resolveConnection";
import { SandboxApi } from "../client/sandboxApi";
import { Group } from "./group";

export interface ConnectOptions extends ConnectionOptions {
  /** Of the data plane; default `2026-02-01-preview`. */
  apiVersion?: "2026-02-01-preview" | "2026-09-01-preview";
}

/**
 * Connects to one sandbox group. The environment (`SANDBOXES_ENDPOINT`, `_TOKEN`, `_CA_FILE`, `_GROUP`, `_DATA_DIR`)
 * fills what the options leave open; with no endpoint at all the embedded host is started and left running. Nothing
 * has to be closed: idle connections do not keep the process alive.
 */
export async function connect(options: ConnectOptions = {}): Promise<Group> {
  const api = new SandboxApi(await resolveConnection(options), { apiVersion: options.apiVersion });
  try {
    return new Group(api, await openGroup(api, options));
  } catch (error) {
    await api.close();
    throw error;
  }
}
