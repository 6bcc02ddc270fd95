import { z } from "zod";
import type { AzureAccess } from "../connection";
import { SandboxesError } from "../errors";

/** Claims of Entra's access tokens; see learn.microsoft.com, "Access token claims reference". */
const claims = z.looseObject({ oid: z.string().min(1), idtyp: z.string().optional() });

export interface Caller {
  /** Object id in the directory. */
  principalId: string;
  /** Undefined where the token does not say it. */
  principalType: "ServicePrincipal" | "User" | undefined;
}

/** Who signs in, as the control plane's token says. The token is read, not judged: the service does that. */
export async function callerOf({ tokens, controlScope }: AzureAccess, signal?: AbortSignal): Promise<Caller> {
  const token = await tokens.get(controlScope, signal);
  const read = claims.safeParse(payloadOf(token));
  if (!read.success) {
    throw new SandboxesError("Unsupported", "The token does not say who signs in, so that no role can be assigned", {
      hint: "leave assignDataOwner out, and assign the role by azure-native's RoleAssignment",
    });
  }
  const { oid: principalId, idtyp } = read.data;
  return { principalId, principalType: idtyp === "app" ? "ServicePrincipal" : idtyp === "user" ? "User" : undefined };
}

function payloadOf(token: string): unknown {
  try {
    return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"));
  } catch {
    return undefined; // Not a token of that form.
  }
}
