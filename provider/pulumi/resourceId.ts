import * as pulumi from "@pulumi/pulumi";

/** The id of a resource given by itself or by its id. It is known as long as the resource is not replaced. */
export function resourceId(given: pulumi.Input<pulumi.CustomResource | string>): pulumi.Output<string> {
  const known = pulumi.output(given) as unknown as pulumi.Output<pulumi.CustomResource | string>;
  return known.apply((value) => (typeof value === "string" ? pulumi.output(value) : value.id));
}
