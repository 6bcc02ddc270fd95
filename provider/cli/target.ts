import { openGroup } from "../client/defaultGroup";
import { resolveConnection } from "../client/resolveConnection";
import { type GroupApi, SandboxApi } from "../client/sandboxApi";
import { isGuid } from "../client/wire/identifiers";
import { Group } from "../runtime/group";
import type { Sandbox } from "../runtime/sandbox";
import { type CommandIo, usageError } from "./command";

/** The group that a command works on, as the runtime and as the client see it. */
export interface Target {
  group: Group;
  api: GroupApi;
}

export async function openTarget(values: { endpoint?: string; group?: string }, io: CommandIo): Promise<Target> {
  const { signal, environment } = io;
  const connection = await resolveConnection({ endpoint: values.endpoint, group: values.group, signal }, environment);
  const client = new SandboxApi(connection);
  const view = await openGroup(client, { signal });
  return { group: new Group(client, view), api: client.group(view.name) };
}

/** The sandbox of that id, or of the one id that begins so. */
export async function findSandbox({ group }: Target, id: string, io: CommandIo): Promise<Sandbox> {
  const { signal } = io;
  if (isGuid(id)) return group.getSandbox(id, { signal });
  const found: Sandbox[] = [];
  for await (const sandbox of group.listSandboxes({ signal })) {
    if (id !== "" && sandbox.id.startsWith(id.toLowerCase())) found.push(sandbox);
  }
  const [only, second] = found;
  if (only && !second) return only;
  if (only)
    throw usageError(`"${id}" begins ${found.length} ids of sandboxes`, "give more of the id; see `sandboxes ls`");
  throw usageError(`No sandbox of group "${group.name}" has an id that begins with "${id}"`, "see `sandboxes ls`");
}
