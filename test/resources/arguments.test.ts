import { describe, expectTypeOf, it } from "vitest";
import type { z } from "zod";
import type {
  DiskImageArgs,
  EgressPolicyArgs,
  SandboxArgs,
  SandboxGroupArgs,
  SecretArgs,
  SnapshotArgs,
  VnetConnectionArgs,
  VolumeArgs,
} from "../../provider/index";
import type { diskImageInputs } from "../../provider/resources/diskImage";
import type { egressPolicyInputs } from "../../provider/resources/egressPolicy";
import type { sandboxInputs } from "../../provider/resources/sandbox";
import type { sandboxGroupInputs } from "../../provider/resources/sandboxGroup";
import type { secretInputs } from "../../provider/resources/secret";
import type { snapshotInputs } from "../../provider/resources/snapshot";
import type { vnetConnectionInputs } from "../../provider/resources/vnetConnection";
import type { volumeInputs } from "../../provider/resources/volume";

type Visible<Schema extends z.ZodType> = Exclude<keyof z.input<Schema>, `__${string}`>;

describe("the arguments of the classes", () => {
  it("are the inputs of the definitions", () => {
    expectTypeOf<keyof SandboxGroupArgs>().toEqualTypeOf<Visible<typeof sandboxGroupInputs>>();
    expectTypeOf<keyof DiskImageArgs>().toEqualTypeOf<Visible<typeof diskImageInputs>>();
    expectTypeOf<keyof SandboxArgs>().toEqualTypeOf<Visible<typeof sandboxInputs>>();
    expectTypeOf<keyof EgressPolicyArgs>().toEqualTypeOf<Visible<typeof egressPolicyInputs>>();
    expectTypeOf<keyof SecretArgs>().toEqualTypeOf<Visible<typeof secretInputs>>();
    expectTypeOf<keyof SnapshotArgs>().toEqualTypeOf<Visible<typeof snapshotInputs>>();
    expectTypeOf<keyof VnetConnectionArgs>().toEqualTypeOf<Visible<typeof vnetConnectionInputs>>();
    expectTypeOf<keyof VolumeArgs>().toEqualTypeOf<Visible<typeof volumeInputs>>();
  });
});
