import type * as pulumi from "@pulumi/pulumi";

/**
 * Pulumi stores the text of a dynamic provider in the state, and runs that text on refresh and destroy. So the text must
 * hold nothing of ours: each method finds the installed package from the folder of the program and forwards to it.
 * (`createRequire`, because inside the text a package does not resolve a reference to itself.) The text must not change
 * between versions, or every resource would carry two kinds: seven methods, for ever, and no variable from outside.
 */
export type Trampoline = Required<pulumi.dynamic.ResourceProvider>;
