import { createHash } from "node:crypto";
import * as pulumi from "@pulumi/pulumi";

/**
 * 32 hex digits that name one resource among all stacks, from organization, project, stack and URN. A dynamic provider
 * is not told the URN, so the resource's class computes it and passes this as a hidden input.
 */
export function resourceKey(type: string, name: string, parent: pulumi.Resource | undefined): string | Promise<string> {
  const stack = `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`;
  const keyOf = (urn: string) => createHash("sha256").update(`${stack}\n${urn}`).digest("hex").slice(0, 32);
  if (!parent) return keyOf(`urn:pulumi:${pulumi.getStack()}::${pulumi.getProject()}::${type}::${name}`);
  // A promise, for an output would depend on the parent: and a component stands for all its children, so that this
  // resource would wait for itself. A URN is known in previews too.
  return new Promise((resolve) => {
    pulumi.createUrn(name, type, parent).apply((urn) => resolve(keyOf(urn)));
  });
}
