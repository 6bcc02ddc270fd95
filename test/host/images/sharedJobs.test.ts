import { describe, expect, it } from "vitest";
import { type JobContext, SharedJobs } from "../../../provider/host/images/sharedJobs";

describe("SharedJobs", () => {
  it("does the work once for all who ask at once, and again for who asks later", async () => {
    const jobs = new SharedJobs<number>();
    let runs = 0;
    const work = async () => ++runs;
    expect(await Promise.all([jobs.run("k", {}, work), jobs.run("k", {}, work), jobs.run("other", {}, work)])).toEqual([
      1, 1, 2,
    ]);
    expect(await jobs.run("k", {}, work)).toBe(3);
  });

  it("tells every caller of every step", async () => {
    const jobs = new SharedJobs<void>();
    const heard: string[] = [];
    const work = async ({ progress }: JobContext) => progress("step");
    const caller = (name: string) => ({ onProgress: (message: string) => void heard.push(`${name} ${message}`) });
    await Promise.all([jobs.run("k", caller("a"), work), jobs.run("k", caller("b"), work)]);
    expect(heard).toEqual(["a step", "b step"]);
  });

  it("goes on while one caller is left, and ends with the last", async () => {
    const jobs = new SharedJobs<void>();
    const started = Promise.withResolvers<AbortSignal>();
    const work = async ({ signal }: JobContext) => {
      started.resolve(signal);
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    };
    const [a, b] = [new AbortController(), new AbortController()];
    const [first, second] = [jobs.run("k", { signal: a.signal }, work), jobs.run("k", { signal: b.signal }, work)];
    const signal = await started.promise;
    a.abort(new Error("a left"));
    await expect(first).rejects.toThrow("a left");
    expect(signal.aborted).toBe(false);
    b.abort(new Error("b left"));
    await expect(second).rejects.toThrow("b left");
    expect(signal.aborted).toBe(true);
  });

  it("starts anew for a caller who comes after the last one left", async () => {
    const jobs = new SharedJobs<string>();
    const leaving = new AbortController();
    const endless = jobs.run("k", { signal: leaving.signal }, () => new Promise(() => undefined));
    leaving.abort(new Error("left"));
    await expect(endless).rejects.toThrow("left");
    expect(await jobs.run("k", {}, async () => "fresh")).toBe("fresh");
  });

  it("fails for all, and is tried anew", async () => {
    const jobs = new SharedJobs<number>();
    const fail = async () => {
      throw new Error("broken");
    };
    const results = await Promise.allSettled([jobs.run("k", {}, fail), jobs.run("k", {}, fail)]);
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(await jobs.run("k", {}, async () => 1)).toBe(1);
  });
});
