import type * as pulumi from "@pulumi/pulumi";

/** A value of which every part may be an output. */
export type DeepInput<T> = pulumi.Input<
  T extends (infer Item)[] ? DeepInput<Item>[] : T extends object ? { [Key in keyof T]: DeepInput<T[Key]> } : T
>;
