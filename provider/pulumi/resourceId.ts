import * as pulumi from "@pulumi/pulumi";

/** The id of a resource given by itself or by its id. It is known as long as the resource is not replaced. */
export function resourceId(given: pulumi.Input<pulumi.CustomResource | string>): pulumi.Input<string> {
  // Most are one of these two, and an output costs more than all else that a class does with an argument.
  if (typeof given === "string") return given;
  if (pulumi.CustomResource.isInstance(given)) return given.id;
  const known = pulumi.output(given) as unknown as pulumi.Output<pulumi.CustomResource | string>;
  return known.apply((value) => (typeof value === "string" ? pulumi.output(value) : value.id));
}
