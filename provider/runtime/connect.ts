import { type ConnectionOptions, resolveConnection } from "../client/connection";
import { openGroup } from "../client/defaultGroup";
import { SandboxApi } from "../client/sandboxApi";
import { Group } from "./group";

export type ConnectOptions = ConnectionOptions;

/**
 * Connects to one sandbox group. The environment (`SANDBOXES_ENDPOINT`, `_TOKEN`, `_CA_FILE`, `_GROUP`, `_DATA_DIR`)
 * fills what the options leave open; with no endpoint at all the embedded host is started and left running. Nothing
 * has to be closed: idle connections do not keep the process alive.
 */
export async function connect(options: ConnectOptions = {}): Promise<Group> {
  const api = new SandboxApi(await resolveConnection(options));
  try {
    return new Group(api, await openGroup(api, options));
  } catch (error) {
    await api.close();
    throw error;
  }
}
