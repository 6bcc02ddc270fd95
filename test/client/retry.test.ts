import { describe, expect, it } from "vitest";
import { type Attempt, readRetryAfter, withRetry } from "../../provider/client/retry";

const policy = { attempts: 5, budgetMs: 60_000, baseMs: 1, maxMs: 2 };

function failing(times: number, failure: Omit<Extract<Attempt<string>, { error: unknown }>, "error">) {
  let count = 0;
  const attempt = async (): Promise<Attempt<string>> =>
    count++ < times ? { error: new Error(`attempt ${count}`), ...failure } : { value: `after ${count}` };
  return Object.assign(attempt, { count: () => count });
}

describe("withRetry", () => {
  it("repeats what was refused, also where repeating is not safe", async () => {
    expect(await withRetry(failing(2, { repeat: "refused" }), { repeatable: false, policy })).toBe("after 3");
  });

  it("repeats what may have had an effect only where that is safe", async () => {
    expect(await withRetry(failing(1, { repeat: "unknown" }), { repeatable: true, policy })).toBe("after 2");
    await expect(withRetry(failing(1, { repeat: "unknown" }), { repeatable: false, policy })).rejects.toThrow(
      "attempt 1",
    );
  });

  it("throws the last error when the attempts are used up", async () => {
    const attempt = failing(9, { repeat: "refused" });
    await expect(withRetry(attempt, { repeatable: true, policy })).rejects.toThrow("attempt 5");
  });

  it("gives up at once when the service wants more time than there is", async () => {
    const attempt = failing(9, { repeat: "refused", afterMs: 60_001 });
    await expect(withRetry(attempt, { repeatable: true, policy })).rejects.toThrow("attempt 1");
  });

  it("stops waiting when aborted, with the reason given", async () => {
    const reason = new Error("enough");
    const controller = new AbortController();
    const attempt = failing(9, { repeat: "refused", afterMs: 50_000 });
    const run = withRetry(attempt, { repeatable: true, policy, signal: controller.signal });
    controller.abort(reason);
    await expect(run).rejects.toBe(reason);
    expect(attempt.count()).toBe(1);
  });
});

describe("Retry-After", () => {
  it("is read as seconds or as a date, and never as a time gone by", () => {
    const now = Date.parse("2026-01-01T00:00:00Z");
    expect(readRetryAfter("2", now)).toBe(2000);
    expect(readRetryAfter("Thu, 01 Jan 2026 00:00:03 GMT", now)).toBe(3000);
    expect(readRetryAfter("Wed, 31 Dec 2025 00:00:00 GMT", now)).toBe(0);
    expect(readRetryAfter("soon", now)).toBeUndefined();
    expect(readRetryAfter(undefined, now)).toBeUndefined();
  });
});
