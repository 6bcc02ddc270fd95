import { expect, it } from "vitest";
import { writableLayer } from "../../../provider/host/vm/writableLayer";

it.each([
  [512, 256, "memory"],
  [512, 257, "disk"],
  [512, 10_240, "disk"],
  [4096, 1024, "memory"],
])("of a machine with %i MiB of memory and %i MiB of disk is in %s", (memoryMiB, diskMiB, where) => {
  expect(writableLayer({ memoryMiB, diskMiB })).toBe(where);
});
