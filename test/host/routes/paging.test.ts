import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { groupPath, newer, type Reply, RunningHost } from "../fakes/runningHost";

const images = `${groupPath}/diskimages`;
const total = 130;

describe("lists", () => {
  const host = new RunningHost();
  beforeAll(async () => {
    await (await host.start()).withGroup();
    for (let n = 0; n < total; n++) await host.call("PUT", images, { image: { base: `image:${n}` } });
  });
  afterAll(() => host.close());

  const get = (query: string, version?: string) => host.call("GET", `${images}${query}`, undefined, { version });
  const ids = (items: { id: string }[]) => items.map(({ id }) => id);

  test("are complete arrays in the older api-version", async () => {
    expect((await get("")).body).toHaveLength(total);
  });

  test("give a part when one is asked for, in either spelling", async () => {
    const all = ids((await get("")).body);
    expect(ids((await get("?PageSize=100")).body)).toEqual(all.slice(0, 100));
    expect(ids((await get("?Page=1&PageSize=100")).body)).toEqual(all.slice(0, 100));
    expect(ids((await get("?page=2&pageSize=100")).body)).toEqual(all.slice(100));
    expect(ids((await get("?Page=2")).body)).toEqual(all.slice(25, 50));
    expect((await get("?Page=99&PageSize=100")).body).toEqual([]);
  });

  test.each(["PageSize=0", "PageSize=101", "pageSize=x", "Page=-1"])("refuse %s", async (query) => {
    expect((await get(`?${query}`)).status).toBe(400);
  });

  test("are pages with absolute links in the newer api-version, each item once", async () => {
    const all = ids((await get("")).body);
    const found: string[] = [];
    let reply: Reply = await host.call("GET", `${images}?pageSize=50`, undefined, {
      version: newer,
      headers: { host: "host.example:8443" },
    });
    for (;;) {
      found.push(...ids(reply.body.value));
      if (!reply.body.nextLink) break;
      const next = new URL(reply.body.nextLink);
      expect([next.protocol, next.host]).toEqual(["http:", "host.example:8443"]);
      expect(next.searchParams.get("api-version")).toBe(newer);
      next.searchParams.delete("api-version");
      reply = await host.call("GET", `${next.pathname}${next.search}`, undefined, {
        version: newer,
        headers: { host: "host.example:8443" },
      });
    }
    expect(found).toEqual(all);
  });

  test("go on where they were when what was shown last is deleted", async () => {
    const all = ids((await get("")).body);
    const first = (await get("?pageSize=10", newer)).body;
    await host.call("DELETE", `${images}/${all[9]}`);
    const next = new URL(first.nextLink);
    next.searchParams.delete("api-version");
    const second = (await get(next.search, newer)).body;
    expect(ids(second.value)).toEqual(all.slice(10, 20));
  });
});
