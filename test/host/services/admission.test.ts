import { expect, test } from "vitest";
import { Admission } from "../../../provider/host/services/admission";
import { hasCode } from "../fakes/shelf";

test("memory is reserved until it is released, and what can never fit is not a matter of waiting", () => {
  const admission = new Admission({ memoryBudgetMiB: 1000 });
  admission.reserve("a", 400);
  admission.reserve("b", 400);
  expect(() => admission.reserve("c", 400)).toThrow(expect.objectContaining({ code: "CapacityExceeded" }));
  expect(() => admission.reserve("d", 4000)).toThrow(expect.objectContaining({ code: "Invalid" }));
  admission.release("a");
  admission.release("a");
  admission.reserve("c", 400);
  expect(admission.reservedMiB).toBe(2 * 464);
});

test("a machine that runs already is counted though it does not fit", () => {
  const admission = new Admission({ memoryBudgetMiB: 1000 });
  admission.reserveRunning("a", 2000);
  expect(() => admission.reserve("b", 100)).toThrow(expect.objectContaining({ code: "CapacityExceeded" }));
});

test("starts run in the order they came, no more at once than allowed, and a failed one makes room", async () => {
  const admission = new Admission({ startsAtOnce: 2 });
  const order: string[] = [];
  const ends = new Map<string, () => void>();
  const start = (name: string) =>
    admission.start("group", () => {
      order.push(name);
      return new Promise<void>((resolve, reject) =>
        ends.set(name, () => (name === "a" ? reject(new Error("a failed")) : resolve())),
      );
    });
  const all = ["a", "b", "c", "d"].map(start);
  await Promise.resolve();
  expect(order).toEqual(["a", "b"]);
  expect(admission.queue).toEqual({ running: 2, waiting: 2 });
  ends.get("a")!();
  await expect(all[0]).rejects.toThrow("a failed");
  expect(order).toEqual(["a", "b", "c"]);
  ends.get("b")!();
  await all[1];
  ends.get("c")!();
  await all[2];
  ends.get("d")!();
  await all[3];
  expect(admission.queue).toEqual({ running: 0, waiting: 0 });
});

test("a queue that is too long refuses", async () => {
  const admission = new Admission({ startsAtOnce: 1 });
  let end = () => {};
  const first = admission.start(
    "group",
    () =>
      new Promise<void>((resolve) => {
        end = resolve;
      }),
  );
  const waiting = Array.from({ length: 256 }, () => admission.start("group", async () => undefined));
  await expect(admission.start("group", async () => undefined)).rejects.toSatisfy(hasCode("CapacityExceeded"));
  end();
  await Promise.all([first, ...waiting]);
});
