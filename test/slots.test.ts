import { expect, it } from "vitest";
import { createSlots } from "../provider/slots";

it("runs no more work at once than it has slots, in order of arrival", async () => {
  const slots = createSlots(2);
  const order: number[] = [];
  let running = 0;
  let most = 0;
  const work = (index: number) => async (): Promise<void> => {
    order.push(index);
    most = Math.max(most, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
  };
  await Promise.all([0, 1, 2, 3, 4].map((index) => slots.run(work(index))));
  expect(order).toEqual([0, 1, 2, 3, 4]);
  expect(most).toBe(2);
  expect(slots.running).toBe(0);
});

it("frees its slot when the work fails", async () => {
  const slots = createSlots(1);
  await expect(slots.run(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await slots.run(async () => "next")).toBe("next");
});

it("leaves the queue when the caller gives up", async () => {
  const slots = createSlots(1);
  let finish = (): void => {};
  const first = slots.run(() => new Promise<void>((resolve) => (finish = resolve)));
  const giveUp = new AbortController();
  const second = slots.run(async () => "never", giveUp.signal);
  const third = slots.run(async () => "third");
  giveUp.abort(new Error("gave up"));
  await expect(second).rejects.toThrow("gave up");
  expect(slots.waiting).toBe(1);
  finish();
  await first;
  expect(await third).toBe("third");
});
