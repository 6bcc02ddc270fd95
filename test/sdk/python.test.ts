import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe } from "vitest";
import { pythonScenarios } from "./scenarios";
import { SdkHost } from "./sdkHost";

describe("Azure's Python SDK", () => {
  const host = new SdkHost();
  let site: Server;
  beforeAll(async () => {
    site = createServer((incoming, response) => response.end(JSON.stringify([incoming.url, incoming.headers])));
    await once(site.listen(0, "127.0.0.1"), "listening");
    await host.start({ egressAllowPrivate: ["127.0.0.1"], resolveName: async () => ["127.0.0.1"] });
  });
  afterAll(async () => {
    await host.close();
    site.close();
  });

  for (const module of ["groups", "appcontainers", "sandboxes", "files", "programs", "ports", "secrets"]) {
    pythonScenarios(module, host);
  }
  pythonScenarios("egress", host, () => ({ SITE_PORT: String((site.address() as AddressInfo).port) }));
});
