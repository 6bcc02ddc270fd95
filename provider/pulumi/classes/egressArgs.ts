import type * as pulumi from "@pulumi/pulumi";

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
}

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
  }>;
  action: pulumi.Input<{
    type: pulumi.Input<"Allow" | "Deny" | "Transform" | "Rewrite">;
    headers?: pulumi.Input<pulumi.Input<EgressHeader>[]>;
    scheme?: pulumi.Input<"http" | "https">;
    host?: pulumi.Input<string>;
    path?: pulumi.Input<string>;
  }>;
}

export interface EgressHeader {
  operation: pulumi.Input<"Set" | "Insert" | "Remove">;
  name: pulumi.Input<string>;
  /** Seen in the state: take `valueRef` for secrets. */
  value?: pulumi.Input<string>;
  valueRef?: pulumi.Input<{
    secretRef: pulumi.Input<{
      /** `name` of a `Secret` of the group. */
      secretId: pulumi.Input<string>;
      secretKey?: pulumi.Input<string>;
      /** `Bearer {value}`. */
      format?: pulumi.Input<string>;
    }>;
  }>;
}
