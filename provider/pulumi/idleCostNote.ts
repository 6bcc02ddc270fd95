import * as pulumi from "@pulumi/pulumi";
import type { SandboxCosts } from "./idleCost";

const found: SandboxCosts[] = [];
let waiting = 0;
let said = false;

/**
 * Says once in a preview what the stack's sandboxes on Azure cost while nobody uses them. Waits until all that are
 * declared by then are registered: all that can be known of their arguments is known by then.
 */
export function noteIdleCost(
  sandbox: pulumi.CustomResource,
  target: pulumi.Output<string | undefined>,
  costs: pulumi.Input<SandboxCosts>,
): void {
  if (said || !pulumi.runtime.isDryRun()) return;
  const configured = new pulumi.Config("sandboxes").get("target");
  pulumi.all([target, costs]).apply(([where, known]) => {
    if ((where ?? configured) === "azure") found.push(known as SandboxCosts);
  });
  waiting += 1;
  const done = pulumi.runtime.rpcKeepAlive();
  sandbox.urn.apply(() => {
    waiting -= 1;
    // After what the program does because of this registration, which may be to declare another one.
    setImmediate(() => {
      if (waiting > 0 || said || found.length === 0) return done();
      said = true;
      void tell().finally(done);
    });
  });
}

/** Loads what reckons now: most runs of a program never need it. */
async function tell(): Promise<void> {
  const { idleCostText } = await import("./idleCost.js");
  const text = idleCostText(found);
  if (text) await pulumi.log.info(text);
}
