import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe } from "vitest";
import { selfSignedTls } from "../../provider/host/serverTls";
import { pythonScenarios } from "./scenarios";
import { SdkHost } from "./sdkHost";

describe("Azure's Python SDK", () => {
  const host = new SdkHost();
  let sites: Server[];
  const portOf = (site: number) => String((sites[site]!.address() as AddressInfo).port);

  beforeAll(async () => {
    const names = ["api.test", "old.test"];
    const { key, cert } = await selfSignedTls(join(host.dataDir, "site"), names);
    const answer: RequestListener = ({ url, headers }, response) => response.end(JSON.stringify([url, headers]));
    sites = [createServer(answer), createTlsServer({ key, cert }, answer)];
    for (const site of sites) await once(site.listen(0, "127.0.0.1"), "listening");
    await host.start({
      ...{ egressAllowPrivate: ["127.0.0.1"], resolveName: async () => ["127.0.0.1"] },
      siteAuthorities: readFileSync(join(host.dataDir, "site/ca.pem"), "utf8"),
    });
  });
  afterAll(async () => {
    await host.close();
    for (const site of sites) site.close();
  });

  for (const module of ["groups", "appcontainers", "sandboxes", "files", "programs", "ports", "secrets"]) {
    pythonScenarios(module, host);
  }
  pythonScenarios("egress", host, () => ({ SITE_PORT: portOf(0), SITE_TLS_PORT: portOf(1) }));
});
