import type { DatabaseSync } from "node:sqlite";
import { createAddressJudge } from "./egress/addresses";
import { Authority } from "./egress/authority";
import { createDial, type ResolveName } from "./egress/dial";
import { EgressService } from "./egress/egressService";
import { PortService } from "./ports/portService";
import type { ListenAddress } from "./serverListen";
import type { ServerTls } from "./serverTls";
import type { HostLog } from "./services/hostLog";
import type { SandboxService } from "./services/sandboxes";
import type { SandboxNetwork } from "./services/sandboxNetwork";
import { EgressDecisionStore } from "./store/egressDecisionStore";
import { EgressPolicyStore } from "./store/egressPolicyStore";
import type { SandboxStore } from "./store/sandboxStore";
import type { VmDriver } from "./vm/driver";

export interface NetworkOptions {
  /** CIDR ranges that sandboxes may connect to though they are private, where their policy allows it. */
  egressAllowPrivate?: string[];
  /** In place of the machine's name servers. */
  resolveName?: ResolveName;
  /** In place of the authorities that Node.js knows, for sites that are looked into; PEM. */
  siteAuthorities?: string;
  /** Ports of this machine on which ports of sandboxes are served. */
  portRange?: { first: number; last: number };
}

export interface NetworkParts {
  options: NetworkOptions & { database: DatabaseSync; driver: VmDriver; token?: string };
  listen: ListenAddress;
  tls: ServerTls | undefined;
  store: SandboxStore;
  secretValue(groupKey: string, secretId: string, key: string | null | undefined): string;
  /** Secret bytes that are the same after a restart. */
  derive(purpose: string): Buffer;
  /** Made with the network that is returned. */
  sandboxes: () => SandboxService;
  log: HostLog;
}

/** Both ways through the border of sandboxes, wired. */
export function createNetwork(parts: NetworkParts): {
  egress: EgressService;
  ports: PortService;
  network: SandboxNetwork;
} {
  const { options, listen, tls, store, secretValue, log } = parts;
  let authority: Authority | undefined;
  const egress = new EgressService({
    ...{ sandboxes: store, secretValue, log, siteAuthorities: options.siteAuthorities, driver: options.driver },
    authority: () => {
      authority ??= new Authority(parts.derive("egress authority"));
      return authority;
    },
    policies: new EgressPolicyStore(options.database),
    decisions: new EgressDecisionStore(options.database),
    dial: createDial(createAddressJudge(options.egressAllowPrivate ?? []), options.resolveName),
  });
  const ports = new PortService({
    ...{ store, log },
    sandboxes: {
      running: (...call) => parts.sandboxes().running(...call),
      hold: (id) => parts.sandboxes().hold(id),
    },
    bindHost: "host" in listen ? listen.host : "127.0.0.1",
    tls: tls && { cert: tls.cert, key: tls.key },
    token: options.token,
    range: options.portRange,
  });
  const network: SandboxNetwork = {
    guestUp: (record, agent) => egress.guestUp(record, agent),
    environment: (record) => egress.environment(record),
    removed: (id) => {
      egress.removed(id);
      ports.removed(id);
    },
  };
  return { egress, ports, network };
}
