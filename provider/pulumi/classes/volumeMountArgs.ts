import * as pulumi from "@pulumi/pulumi";
import { resourceId } from "../resourceId";
import type { Volume } from "./volume";

/** A volume in a sandbox. */
export interface VolumeMountArgs {
  /** A volume of the group, its id or its name. */
  volume: pulumi.Input<Volume | string>;
  /** Absolute path in the sandbox. */
  mountpoint: pulumi.Input<string>;
  /** Default false. */
  readOnly?: pulumi.Input<boolean>;
}

/** The same with ids in place of resources. What is known stays known, one by one, while ids are not. */
export function volumeMounts(
  volumes: pulumi.Input<pulumi.Input<VolumeMountArgs>[]>,
): pulumi.Input<pulumi.Input<object>[]> {
  const withId = (given: VolumeMountArgs) => ({ ...given, volume: given.volume && resourceId(given.volume) });
  const mountOf = (given: pulumi.Input<VolumeMountArgs>): pulumi.Input<object> =>
    pulumi.Output.isInstance(given) || given instanceof Promise
      ? pulumi.output(given).apply((known) => pulumi.output(withId(known as VolumeMountArgs)))
      : withId(given);
  if (Array.isArray(volumes)) return volumes.map(mountOf);
  const known = pulumi.output(volumes) as unknown as pulumi.Output<VolumeMountArgs[]>;
  return known.apply((all) => pulumi.all(all.map((each) => pulumi.output(withId(each))))) as pulumi.Output<object[]>;
}
