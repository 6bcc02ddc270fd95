import { z } from "zod";
import { SandboxesError } from "../../provider/client/errors";
import { sizeQuantity } from "../../provider/client/wire/quantities";
import { defineResource } from "../../provider/pulumi/defineResource";
import { Session } from "../../provider/pulumi/session";

interface StoredThing {
  name: string;
  size: string;
  tags: Record<string, string>;
  options?: { mode: string; level: number };
}

/** A resource over a map in memory, with one property of each kind. */
export function thingOver(things: Map<string, StoredThing>, trouble: { read?: SandboxesError } = {}) {
  return defineResource({
    token: "Thing",
    description: "A thing.",
    inputs: z.strictObject({
      name: z
        .string()
        .regex(/^[a-z-]+[0-9a-f]*$/, "no name")
        .describe("lower-case letters and dashes")
        .optional(),
      size: sizeQuantity.describe('a size such as "512Mi"').default("512Mi"),
      tags: z.record(z.string(), z.string()).describe("texts by name").optional(),
      options: z
        .strictObject({ mode: z.enum(["fast", "safe"]), level: z.number().default(1) })
        .describe("how it works")
        .optional(),
      env: z.record(z.string(), z.string()).meta({ secret: true }).describe("environment variables").optional(),
      __key: z.string().optional(),
    }),
    outputs: z.object({ name: z.string(), state: z.string() }),
    replaceOn: ["name", "size", "options.mode"],
    computed: ["name"],
    deleteBeforeReplace: (olds, news) => olds.name === news.name,
    brokenBy: (olds) => (olds.state === "Failed" ? "state" : undefined),
    async create({ name = "auto-1", size, tags = {}, options }) {
      things.set(name, { name, size, tags, options });
      return { id: name, outputs: { name, state: "Ready" } };
    },
    async read(id) {
      if (trouble.read) throw trouble.read;
      const thing = things.get(id);
      if (!thing) throw new SandboxesError("NotFound", "gone");
      const { name, size, tags, options } = thing;
      return { inputs: { name, size, tags, options } as never, outputs: { name, state: "Ready" } };
    },
    async update(id, { tags = {} }) {
      const thing = things.get(id);
      if (!thing) throw new SandboxesError("NotFound", "gone");
      thing.tags = tags;
      return { name: id, state: "Ready" };
    },
    async delete(id) {
      if (!things.delete(id)) throw new SandboxesError("NotFound", "gone");
    },
  });
}

/** A session without a host. */
export function offlineSession(): Session {
  return new Session(async () => {
    throw new SandboxesError("HostUnavailable", "no host in this test");
  });
}
