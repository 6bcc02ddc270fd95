import type * as pulumi from "@pulumi/pulumi";

/** A port of a sandbox that HTTP is forwarded to. */
export interface PortArgs {
  /** In the sandbox. */
  port: pulumi.Input<number>;
  name?: pulumi.Input<string>;
  /** Who may call: `{anonymous: true}`, or `{}` for callers with the host's token; on Azure also by identity. */
  auth: pulumi.Input<{
    anonymous?: pulumi.Input<boolean>;
    entraId?: pulumi.Input<PortIdentities>;
    github?: pulumi.Input<PortIdentities>;
  }>;
  /** `OnDemand` resumes a stopped sandbox when somebody calls. Default `Manual`. */
  activationMode?: pulumi.Input<"Manual" | "OnDemand">;
  /** Default `Http`. */
  protocol?: pulumi.Input<"Http" | "Http2">;
  /** Who may call by address: rules by rising priority, the first that matches decides. */
  ipAccessControl?: pulumi.Input<{
    defaultAction: pulumi.Input<"Allow" | "Deny">;
    rules?: pulumi.Input<
      pulumi.Input<{
        name: pulumi.Input<string>;
        action: pulumi.Input<"Allow" | "Deny">;
        priority: pulumi.Input<number>;
        sourceCidrs: pulumi.Input<pulumi.Input<string>[]>;
      }>[]
    >;
  }>;
  /** Answered in place of what the program in the sandbox says. */
  cors?: pulumi.Input<{
    allowOrigins?: pulumi.Input<pulumi.Input<string>[]>;
    allowMethods?: pulumi.Input<pulumi.Input<string>[]>;
    allowHeaders?: pulumi.Input<pulumi.Input<string>[]>;
    allowCredentials?: pulumi.Input<boolean>;
    /** Seconds. */
    maxAge?: pulumi.Input<number>;
  }>;
}

export interface PortIdentities {
  enabled?: pulumi.Input<boolean>;
  emails?: pulumi.Input<pulumi.Input<string>[]>;
  emailSuffixes?: pulumi.Input<pulumi.Input<string>[]>;
  objectIds?: pulumi.Input<pulumi.Input<string>[]>;
  tenantIds?: pulumi.Input<pulumi.Input<string>[]>;
  usernames?: pulumi.Input<pulumi.Input<string>[]>;
  usernameSuffixes?: pulumi.Input<pulumi.Input<string>[]>;
}
