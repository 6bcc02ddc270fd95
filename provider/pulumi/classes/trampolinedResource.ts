import * as pulumi from "@pulumi/pulumi";
import { trampoline } from "../trampoline";

/**
 * A dynamic resource as `pulumi.dynamic.Resource` makes it, without two kinds of work that for hundreds of resources
 * cost more than all the rest: its provider is a text already, not functions to be taken to pieces for every resource,
 * and no stack is noted for each of the promises that Pulumi makes of every property, four at a time.
 */
export abstract class TrampolinedResource extends pulumi.CustomResource {
  /** `module` is its name below `pulumi-sandboxes/dynamic/`. */
  constructor(
    module: string,
    type: string,
    name: string,
    props: Record<string, unknown>,
    opts: pulumi.CustomResourceOptions,
  ) {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    try {
      super(type, name, { ...props, __provider: trampoline(module) }, opts);
    } catch (error) {
      Error.stackTraceLimit = stackTraceLimit;
      // The mistake is the program's: its author wants to know the line.
      if (error instanceof Error) Error.captureStackTrace(error, TrampolinedResource);
      throw error;
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  }
}
