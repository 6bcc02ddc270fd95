import { expect, test } from "vitest";
import { createFairQueue } from "../../../provider/host/services/fairQueue";

const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A queue whose work ends when the test says so. */
function workbench(limit: number) {
  const queue = createFairQueue(limit);
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const run = (owner: string, name: string, signal?: AbortSignal) => {
    const work = () => {
      begun.push(name);
      return new Promise<void>((resolve) => ends.push(resolve));
    };
    return queue.run(owner, work, signal);
  };
  const endOne = async () => {
    await settled();
    ends.shift()?.();
    await settled();
  };
  return { queue, begun, run, endOne };
}

test("one of each owner goes in turn, each owner's own in order", async () => {
  const { queue, begun, run, endOne } = workbench(1);
  const all = ["a1", "a2", "a3", "a4", "b1", "b2", "c1"].map((name) => run(name[0]!, name));
  expect(queue).toMatchObject({ running: 1, waiting: 6 });
  for (let count = 0; count < all.length; count++) await endOne();
  await Promise.all(all);
  expect(begun).toEqual(["a1", "a2", "b1", "c1", "a3", "b2", "a4"]);
  expect(queue).toMatchObject({ running: 0, waiting: 0 });
});

test("who gives up while waiting leaves the line, and is never begun", async () => {
  const { queue, begun, run, endOne } = workbench(1);
  const giveUp = new AbortController();
  const first = run("a", "a1");
  const given = run("b", "b1", giveUp.signal);
  const last = run("c", "c1");
  giveUp.abort(new Error("enough"));
  await expect(given).rejects.toThrow("enough");
  expect(queue.waiting).toBe(1);
  await endOne();
  await endOne();
  await Promise.all([first, last]);
  expect(begun).toEqual(["a1", "c1"]);
  await expect(run("a", "a2", giveUp.signal)).rejects.toThrow("enough");
  expect(queue).toMatchObject({ running: 0, waiting: 0 });
});

test("a failure makes room as an end does", async () => {
  const queue = createFairQueue(1);
  const failing = queue.run("a", () => Promise.reject(new Error("broken")));
  const next = queue.run("a", async () => "next");
  await expect(failing).rejects.toThrow("broken");
  expect(await next).toBe("next");
});
