import type * as pulumi from "@pulumi/pulumi";

/** What happens to a sandbox by itself, in the words of Azure's API. What is left out is as if nothing were said. */
export interface LifecycleArgs {
  autoSuspendPolicy?: pulumi.Input<{
    enabled: pulumi.Input<boolean>;
    /** Seconds in which no program is run, no file touched and no port used. Default 300. */
    interval?: pulumi.Input<number>;
    /** `Memory`, the default, keeps programs; `Disk`, on Azure only, starts them anew; `None` never suspends. */
    mode?: pulumi.Input<"Memory" | "Disk" | "None">;
  }>;
  autoDeletePolicy?: pulumi.Input<{
    enabled: pulumi.Input<boolean>;
    /** This or `deleteIntervalInSeconds`. */
    deleteIntervalInDays?: pulumi.Input<number>;
    deleteIntervalInSeconds?: pulumi.Input<number>;
    /** From when on. Default `AfterSuspend`: one that runs is not deleted. */
    trigger?: pulumi.Input<"AfterSuspend" | "AfterCreation">;
  }>;
}
