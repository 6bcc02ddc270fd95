import { expect, it } from "vitest";
import { createSharedWork } from "../../../provider/host/vm/sharedWork";

it("does the work once for all who ask at the same time, and tells all of its progress", async () => {
  const shared = createSharedWork<number>();
  let begun = 0;
  let finish = (_value: number): void => {};
  const heard: string[] = [];
  const work = async (_signal: AbortSignal, report: (message: string) => void): Promise<number> => {
    begun++;
    const result = await new Promise<number>((resolve) => (finish = resolve));
    report("done");
    return result;
  };
  const both = ["a", "b"].map((name) => shared.run("key", work, { onProgress: (text) => heard.push(name + text) }));
  finish(7);
  expect(await Promise.all(both)).toEqual([7, 7]);
  expect(begun).toBe(1);
  expect(heard).toEqual(["adone", "bdone"]);
});

it("goes on while one caller is left and is given up with the last", async () => {
  const shared = createSharedWork<void>();
  let aborted = false;
  const work = (signal: AbortSignal): Promise<void> =>
    new Promise((_, reject) => {
      signal.addEventListener("abort", () => {
        aborted = true;
        reject(signal.reason);
      });
    });
  const [first, second] = [new AbortController(), new AbortController()];
  const results = [first, second].map(({ signal }) => shared.run("key", work, { signal }));
  const settled = Promise.allSettled(results);
  first.abort(new Error("first"));
  await expect(results[0]).rejects.toThrow("first");
  expect(aborted).toBe(false);
  second.abort(new Error("second"));
  await settled;
  expect(aborted).toBe(true);
});
