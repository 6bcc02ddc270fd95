import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CallLimit } from "../../../provider/host/services/callLimit";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const endless = new AbortController().signal;

test("a guest that lets a limit pass is lost", () => {
  const limit = new CallLimit("s1", endless);
  limit.within(1000);
  vi.advanceTimersByTime(999);
  expect(limit.signal.aborted).toBe(false);
  vi.advanceTimersByTime(1);
  expect(limit.signal.reason).toMatchObject({ code: "GuestFailed", message: expect.stringContaining("1000 ms") });
});

test("a new limit takes the place of the earlier one, and none holds when it is over", () => {
  const limit = new CallLimit("s1", endless);
  limit.within(1000);
  limit.within(5000);
  vi.advanceTimersByTime(4999);
  expect(limit.signal.aborted).toBe(false);
  limit.end();
  vi.advanceTimersByTime(100_000);
  expect(limit.signal.aborted).toBe(false);
});

test("a guest is not blamed while its output is not read", () => {
  let unread = true;
  const limit = new CallLimit("s1", endless);
  limit.within(1000, () => unread);
  vi.advanceTimersByTime(5500);
  expect(limit.signal.aborted).toBe(false);
  unread = false;
  vi.advanceTimersByTime(1000);
  expect(limit.signal.aborted).toBe(true);
});

test("the caller's leaving ends it with the caller's reason, also one that came before", () => {
  const caller = new AbortController();
  const limit = new CallLimit("s1", caller.signal);
  const reason = new Error("enough");
  caller.abort(reason);
  expect(limit.signal.reason).toBe(reason);
  expect(new CallLimit("s1", caller.signal).signal.reason).toBe(reason);
});
