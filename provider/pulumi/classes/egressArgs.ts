import type * as pulumi from "@pulumi/pulumi";
import type { DeepInput } from "./deepInput";

/** What may leave: the first of `rules` that matches decides, then the first of `hostRules`, then `defaultAction`. */
export interface EgressArgs {
  /** Default `Deny`. */
  defaultAction?: pulumi.Input<"Allow" | "Deny">;
  /** By host, `api.example.com` or `*.example.com`. */
  hostRules?: pulumi.Input<pulumi.Input<EgressHostRule>[]>;
  /** By host, path and method; may also change requests on their way. */
  rules?: pulumi.Input<pulumi.Input<EgressRule>[]>;
  /** `Audit` lets all through and records what would have been denied. */
  enforcementMode?: pulumi.Input<"Enforced" | "Audit">;
  /** How far the target looks into traffic. */
  trafficInspection?: pulumi.Input<"Partial" | "Full" | "None">;
  /** On Azure only: another proxy that all requests go through. */
  defaultForward?: DeepInput<EgressProxy>;
  /** On Azure only: TCP and UDP beside HTTP. At most 10 rules, the first that matches decides. DNS is always open. */
  transportRules?: DeepInput<{
    defaultAction: "Allow" | "Deny";
    /** `destination`: an IPv4 range. */
    rules: { action: "Allow" | "Deny"; protocol: "Tcp" | "Udp"; destination: string; port: number }[];
  }>;
  /** On Azure only: SQL Server's protocol, and as whom its servers are spoken to. */
  tds?: DeepInput<{
    defaultAction: "Allow" | "Deny";
    credentials: { name: string; kind: "SqlPassword" | "EntraToken"; username?: string; secretRef?: EgressSecretRef }[];
    rules: {
      name: string;
      match: { host: string; databases?: string[] };
      /** Or `hookRef`. */
      action?: { type: "Allow" | "Deny"; credential?: string };
      hookRef?: EgressHook;
    }[];
  }>;
}

/** Credentials have no place in `url`: it is seen in the state. */
export interface EgressProxy {
  url: string;
  /** Certificates of who signed the proxy's, PEM. */
  ca?: string;
}

/** `secretId` is the `name` of a `Secret` of the group; `format`: `Bearer {value}`. */
export interface EgressSecretRef {
  secretId: string;
  secretKey?: string;
  format?: string;
}

/** Asked about each request that a rule matches. */
export interface EgressHook {
  endpoint: string;
  /** What holds when it does not answer. */
  failBehavior?: "Deny" | "Allow";
  /** Names of the headers that it is told. */
  requestHeaders?: string[];
  /** Sent to it. */
  authHeaders?: EgressHookHeader[];
  timeoutMs?: number;
  routingMode?: EgressRoutingMode;
}

export interface EgressHookHeader {
  operation: "Set" | "Insert" | "Remove";
  name: string;
  value?: string;
  valueRef?: { secretRef?: EgressSecretRef; managedIdentityRef?: EgressIdentityRef };
}

/** A token of a managed identity of the group, for `resource`. */
export interface EgressIdentityRef {
  resource: string;
  format?: string;
  type?: "SystemAssigned" | "UserAssigned";
  /** ARM id, with `UserAssigned`. */
  identityResourceId?: string;
}

export type EgressRoutingMode = "Default" | "Vnet" | "Platform";

export interface EgressHostRule {
  pattern: pulumi.Input<string>;
  /** Default `Allow`. */
  action?: pulumi.Input<"Allow" | "Deny">;
}

export interface EgressRule {
  name?: pulumi.Input<string>;
  match: pulumi.Input<{
    /** `api.example.com` or `*.example.com`. */
    host: pulumi.Input<string>;
    /** Of `http` only, unless the target opens TLS. */
    path?: pulumi.Input<string>;
    methods?: pulumi.Input<pulumi.Input<string>[]>;
    scheme?: pulumi.Input<"http" | "https" | "any">;
    /** False, on Azure only: paths are compared as they are written. */
    normalizePath?: pulumi.Input<boolean>;
  }>;
  /** Or `hookRef`. */
  action?: pulumi.Input<{
    type: pulumi.Input<"Allow" | "Deny" | "Transform" | "Rewrite">;
    headers?: pulumi.Input<pulumi.Input<EgressHeader>[]>;
    scheme?: pulumi.Input<"http" | "https">;
    host?: pulumi.Input<string>;
    path?: pulumi.Input<string>;
    /** On Azure only. */
    routingMode?: pulumi.Input<EgressRoutingMode>;
    /** On Azure only: past `defaultForward`, or through `forwardProxy`. */
    forward?: pulumi.Input<"direct" | "proxy">;
    forwardProxy?: DeepInput<EgressProxy>;
  }>;
  /** Instead of `action`, on Azure only. */
  hookRef?: DeepInput<EgressHook>;
}

export interface EgressHeader {
  operation: pulumi.Input<"Set" | "Insert" | "Remove">;
  name: pulumi.Input<string>;
  /** Seen in the state: take `valueRef` for secrets. */
  value?: pulumi.Input<string>;
  valueRef?: pulumi.Input<{
    /** One of the two. */
    secretRef?: pulumi.Input<{
      /** `name` of a `Secret` of the group. */
      secretId: pulumi.Input<string>;
      secretKey?: pulumi.Input<string>;
      /** `Bearer {value}`. */
      format?: pulumi.Input<string>;
    }>;
    /** On Azure only. */
    managedIdentityRef?: DeepInput<EgressIdentityRef>;
  }>;
}
