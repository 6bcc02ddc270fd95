import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { groupPath, RunningHost } from "../fakes/runningHost";

const collection = `${groupPath}/diskimages`;

describe("garbage", () => {
  let host: RunningHost;
  beforeEach(async () => {
    host = await (await new RunningHost().start()).withGroup();
  });
  afterEach(() => host.close());

  const imported = async (base: string) => (await host.call("PUT", collection, { image: { base } })).body;
  const stateOf = async (id: string) => (await host.call("GET", `${collection}/${id}`)).body.status.state;
  const collect = async (body?: object) => (await host.call("POST", "/gc", body)).body;
  const kept = () => [...host.shelf.images.values()].map(({ reference }) => reference).sort();

  test("is what no disk image, sandbox or snapshot uses, and its templates", async () => {
    const [a, b, c, d] = await Promise.all(["a", "b", "c", "d"].map(imported));
    const runs = await host.sandbox({ sourcesRef: { diskImage: { id: b.id } } });
    const stops = await host.sandbox({ sourcesRef: { diskImage: { id: c.id } } });
    expect((await host.call("POST", `${groupPath}/sandboxes/${stops}/stop`)).status).toBe(200);
    const saved = await host.sandbox({ sourcesRef: { diskImage: { id: d.id } } });
    const snapshot = await host.call("POST", `${groupPath}/sandboxes/${saved}/snapshot`, {});
    expect(snapshot.status).toBeLessThan(300);
    await host.call("DELETE", `${groupPath}/sandboxes/${saved}`);
    expect(await collect()).toEqual({ dryRun: false, items: [], sizeBytes: 0 });

    for (const { id } of [a, b, c, d]) await host.call("DELETE", `${collection}/${id}`);
    const { items, sizeBytes } = await collect();
    expect(items).toMatchObject([{ kind: "image", about: "a", sizeBytes: 5 * 2 ** 20 }]);
    expect(sizeBytes).toBe(5 * 2 ** 20);
    expect(kept()).toEqual(["b", "c", "d"]);

    await host.call("DELETE", `${groupPath}/sandboxes/${runs}`);
    expect((await collect()).items).toMatchObject([
      { kind: "image", about: "b" },
      { kind: "template", about: "b" },
    ]);
    expect(kept()).toEqual(["c", "d"]);
    expect(host.machines.templates).toHaveLength(2);
  });

  test("is told and left alone by a dry run", async () => {
    const { id } = await imported("a");
    await host.call("DELETE", `${collection}/${id}`);
    host.machines.stale.push("old");
    host.shelf.pulls.set("sha256:cut", 1000);
    const told = await collect({ dryRun: true });
    expect(told.items.map(({ kind }: { kind: string }) => kind)).toEqual(["template", "image", "download"]);
    expect(told).toMatchObject({ dryRun: true, sizeBytes: 7 * 2 ** 20 + 5 * 2 ** 20 + 1000 });
    expect(kept()).toEqual(["a"]);
    expect(await collect()).toMatchObject({ dryRun: false, items: told.items });
    expect([kept(), host.machines.stale, [...host.shelf.pulls]]).toEqual([[], [], []]);
    expect((await collect()).items).toEqual([]);
  });

  test("is not the template of an image that stays, nor the file that two images share", async () => {
    const [a, b] = [await imported("a"), await imported("b")];
    await host.sandbox({ sourcesRef: { diskImage: { id: a.id } } });
    const [first, second] = [...host.shelf.images.values()];
    second!.rootfsDigest = first!.rootfsDigest;
    await host.call("DELETE", `${collection}/${b.id}`);
    expect((await collect()).items).toMatchObject([{ kind: "image", about: "b" }]);
    expect(host.machines.templates).toHaveLength(1);
  });

  test("is a template whose image was removed by hand", async () => {
    const { id } = await imported("a");
    const sandbox = await host.sandbox({ sourcesRef: { diskImage: { id } } });
    await host.call("DELETE", `${groupPath}/sandboxes/${sandbox}`);
    host.shelf.images.clear();
    expect((await collect()).items).toMatchObject([{ kind: "template", about: "of an image that is gone" }]);
  });

  test("is nothing that a sandbox is being made of", async () => {
    const { id } = await imported("a");
    let goOn = () => {};
    const cloning = new Promise<void>((resolve) => {
      host.machines.beforeClone = () => {
        resolve();
        return new Promise((proceed) => {
          goOn = proceed;
        });
      };
    });
    const creating = host.sandbox({ sourcesRef: { diskImage: { id } } });
    await cloning;
    // The only record that named the image goes, and the sandbox's does not name it yet.
    await host.call("DELETE", `${collection}/${id}`);
    expect((await collect()).items).toEqual([]);
    goOn();
    await creating;
    expect((await collect()).items).toEqual([]);
    expect(kept()).toEqual(["a"]);
  });

  test("may be collected again and again while images come, are used and go", async () => {
    let isDone = false;
    const collecting = (async () => {
      while (!isDone) {
        await collect();
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    })();
    const lives = Array.from({ length: 12 }, async (_, number) => {
      for (let round = 0; round < 4; round++) {
        // Of three images, so that each is made, used and dropped by several at once.
        const image = await imported(`shared-${number % 3}`);
        await expect.poll(() => stateOf(image.id)).toBe("Ready");
        const sandbox = await host.sandbox({ sourcesRef: { diskImage: { id: image.id } } });
        await host.call("DELETE", `${collection}/${image.id}`);
        expect(kept()).toContain(`shared-${number % 3}`);
        await host.call("DELETE", `${groupPath}/sandboxes/${sandbox}`);
      }
    });
    await Promise.all(lives).finally(() => {
      isDone = true;
    });
    await collecting;
    await collect();
    expect([kept(), host.machines.templates]).toEqual([[], []]);
  });

  test("is collected only for those who have the host's token", async () => {
    const other = await new RunningHost().start({ token: "0123456789abcdef" });
    try {
      expect((await other.call("POST", "/gc")).status).toBe(401);
    } finally {
      await other.close();
    }
  });
});
