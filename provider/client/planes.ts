import { azurePlanes } from "./azure/planes";
import type { Connection } from "./connection";
import { dialectOf } from "./dialect";
import { judgeHost } from "./failures";
import type { HttpOptions } from "./http";
import type { EndpointOf, Plane, Planes } from "./plane";
import { defaultRetryPolicy } from "./retry";
import { defaultApiVersion } from "./wire/versions";

/** A self-hosted endpoint serves both planes on one address; Azure's are apart. */
export function openPlanes(connection: Connection, options: HttpOptions, endpointOf: EndpointOf): Planes {
  if (connection.azure) return azurePlanes(connection, connection.azure, options, endpointOf);
  const plane = (apiVersion: string): Plane => ({
    endpoint: async () => connection.endpoint,
    token: async () => connection.token,
    dialect: dialectOf(apiVersion),
    hasExtensions: true,
    retry: options.retry ?? defaultRetryPolicy,
    judge: judgeHost,
  });
  const data = plane(options.apiVersion ?? defaultApiVersion);
  return { control: plane(defaultApiVersion), data: () => data };
}
