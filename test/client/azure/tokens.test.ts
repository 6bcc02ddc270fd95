import { describe, expect, it } from "vitest";
import { CachedTokens } from "../../../provider/client/azure/tokens";
import { registerSecret, scrub } from "../../../provider/client/secrets";

const minute = 60_000;

class Clock {
  now = 0;
  issued = 0;
  failing = false;
  readonly tokens = new CachedTokens(
    async () => ({
      getToken: async (scope) => {
        if (this.failing) throw new Error("Entra is away");
        return { token: `token-${scope}-${++this.issued}`, expiresOnTimestamp: this.now + 60 * minute };
      },
    }),
    () => this.now,
  );
}

describe("cached tokens", () => {
  it("are asked for once, by however many at the same time, and for each scope", async () => {
    const { tokens } = new Clock();
    const all = await Promise.all(["a", "a", "b", "a"].map((scope) => tokens.get(scope)));
    expect(all).toEqual(["token-a-1", "token-a-1", "token-b-2", "token-a-1"]);
  });

  it("are renewed before they expire", async () => {
    const clock = new Clock();
    await clock.tokens.get("a");
    clock.now = 54 * minute;
    expect(await clock.tokens.get("a")).toBe("token-a-1");
    clock.now = 56 * minute;
    expect(await clock.tokens.get("a")).toBe("token-a-2");
  });

  it("serve to their end while no other can be had", async () => {
    const clock = new Clock();
    await clock.tokens.get("a");
    clock.failing = true;
    clock.now = 59 * minute;
    expect(await clock.tokens.get("a")).toBe("token-a-1");
    clock.now = 61 * minute;
    await expect(clock.tokens.get("a")).rejects.toMatchObject({ code: "Unauthorized" });
    clock.failing = false;
    expect(await clock.tokens.get("a")).toBe("token-a-2");
  });

  it("are dropped when a service refuses them, unless they had only just come", async () => {
    const clock = new Clock();
    await clock.tokens.get("a");
    expect(clock.tokens.forget("a")).toBe(false);
    clock.now = 2 * minute;
    expect(clock.tokens.forget("a")).toBe(true);
    expect(await clock.tokens.get("a")).toBe("token-a-2");
  });
});

describe("scrubbing", () => {
  it("strikes out secrets, plain and escaped, whole ones before their parts", () => {
    registerSecret("part-of");
    registerSecret("part-of/a+secret");
    expect(scrub("x part-of/a+secret y part-of%2Fa%2Bsecret z part-of")).toBe("x [secret] y [secret] z [secret]");
  });

  it("leaves words alone that are too short to be a secret", () => {
    registerSecret("a");
    expect(scrub("a cat")).toBe("a cat");
  });
});
