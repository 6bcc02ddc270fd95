import type { Connection } from "./connection";
import { SandboxesError } from "./errors";
import { isMissing } from "./failures";
import type { CallOptions } from "./http";
import type { SandboxApi } from "./sandboxApi";
import type { GroupView } from "./wire/groups";

/** Used, and created when missing, by those who name no group. */
const defaultGroup = "default";

/** The group that a connection names, which must exist; or the default one of a self-hosted endpoint. */
export async function openGroup(api: SandboxApi, options: CallOptions = {}): Promise<GroupView> {
  const { group }: Connection = api.connection;
  if (group === undefined && api.connection.azure) {
    throw new SandboxesError("Invalid", "The target azure needs the name or id of a sandbox group", { field: "group" });
  }
  try {
    return await api.groups.get(group ?? defaultGroup, options);
  } catch (error) {
    if (!isMissing(error)) throw error;
    if (group !== undefined) throw unknownGroup(group, error);
  }
  const { region } = await api.status(options);
  return api.groups.put(defaultGroup, { location: region ?? "local", properties: {} }, options);
}

function unknownGroup(name: string, cause: SandboxesError): SandboxesError {
  return new SandboxesError("GroupNotFound", `The sandbox group "${name}" does not exist`, {
    requestId: cause.requestId,
    cause,
    hint: "deploy it (a SandboxGroup), or name none to use the group of your own host",
  });
}
