import type { AzureAccess, Connection } from "../connection";
import { dialectOf } from "../dialect";
import type { HttpOptions } from "../http";
import type { EndpointOf, Plane, Planes } from "../plane";
import type { RetryPolicy } from "../retry";
import { defaultApiVersion } from "../wire/versions";
import { judgeControlPlane, RoleWait } from "./judge";

/** Rides out throttling, of which Azure tells the length, and the short outages of a large service. */
export const azureRetryPolicy: RetryPolicy = { attempts: 10, budgetMs: 120_000, baseMs: 500, maxMs: 20_000 };

/** Azure's control plane, and a data plane for each group, at the address that the control plane tells. */
export function azurePlanes(
  connection: Connection,
  access: AzureAccess,
  options: HttpOptions,
  endpointOf: EndpointOf,
): Planes {
  const retry = options.retry ?? azureRetryPolicy;
  const tokensOf = (scope: string): Pick<Plane, "token" | "renewToken"> => ({
    token: (signal) => access.tokens.get(scope, signal),
    renewToken: () => access.tokens.forget(scope),
  });
  const open = (group: string): Plane => {
    const role = new RoleWait(connection, group, options.roleRetry);
    const endpoint = remembered((signal) => endpointOf(group, signal));
    return {
      endpoint,
      ...tokensOf(access.dataScope),
      dialect: dialectOf(options.apiVersion ?? defaultApiVersion),
      hasExtensions: false,
      retry,
      judge: (answer, action) => role.judge(answer, action),
      succeeded: () => role.granted(),
    };
  };
  const data = new Map<string, Plane>();
  return {
    control: {
      endpoint: async () => connection.endpoint,
      ...tokensOf(access.controlScope),
      dialect: { ...dialectOf(defaultApiVersion), pages: "links" },
      hasExtensions: false,
      retry,
      judge: judgeControlPlane(connection),
    },
    data(group) {
      const plane = data.get(group) ?? open(group);
      data.set(group, plane);
      return plane;
    },
  };
}

/** Asks once and shares the answer; a failure is not remembered, and one caller's abort is not the others'. */
function remembered(ask: (signal?: AbortSignal) => Promise<string>): (signal?: AbortSignal) => Promise<string> {
  let known: string | undefined;
  return async (signal) => {
    known ??= await ask(signal);
    return known;
  };
}
