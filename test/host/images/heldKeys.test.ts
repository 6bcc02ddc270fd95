import { expect, it } from "vitest";
import { HeldKeys } from "../../../provider/host/images/heldKeys";

it("removes nothing that somebody holds, until all have let go", async () => {
  const keys = new HeldKeys();
  const [one, two] = [await keys.hold("a"), await keys.hold("a")];
  one();
  one();
  expect(keys.isHeld("a")).toBe(true);
  expect(await keys.unlessHeld("a", async () => "removed")).toBeUndefined();
  expect(await keys.unlessHeld("b", async () => "removed")).toBe("removed");
  two();
  expect(await keys.unlessHeld("a", async () => "removed")).toBe("removed");
});

it.each(["succeeds", "fails"])("lets nobody hold what is being removed, until that %s", async (outcome) => {
  const keys = new HeldKeys();
  const done = Promise.withResolvers<string>();
  const removal = keys.unlessHeld("a", () => done.promise).catch(() => "failed");
  let isHeld = false;
  const holding = keys.hold("a").then((release) => {
    isHeld = true;
    return release;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(isHeld).toBe(false);
  if (outcome === "fails") done.reject(new Error("no"));
  else done.resolve("removed");
  const release = await holding;
  expect(isHeld).toBe(true);
  expect(await removal).toBe(outcome === "fails" ? "failed" : "removed");
  release();
  expect(keys.isHeld("a")).toBe(false);
});

it("removes one thing once at a time", async () => {
  const keys = new HeldKeys();
  let running = 0;
  const remove = async () => {
    running++;
    expect(running).toBe(1);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
  };
  await Promise.all([1, 2, 3].map(() => keys.unlessHeld("a", remove)));
});
