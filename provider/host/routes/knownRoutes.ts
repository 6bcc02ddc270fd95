import type { FastifyInstance } from "fastify";

/** Which methods an address takes, to tell a wrong method from an address that nothing is at. */
export class KnownRoutes {
  readonly #patterns = new Map<string, { pattern: RegExp; methods: Set<string> }>();

  /** Learns what is added to the app from now on. */
  watch(app: FastifyInstance): void {
    app.addHook("onRoute", ({ url, method }) => {
      const known = this.#patterns.get(url) ?? { pattern: patternOf(url), methods: new Set() };
      for (const each of [method].flat()) known.methods.add(each);
      this.#patterns.set(url, known);
    });
  }

  /** Sorted; empty where there is nothing. */
  methodsAt(path: string): string[] {
    const methods = [...this.#patterns.values()].flatMap((known) =>
      known.pattern.test(path) ? [...known.methods] : [],
    );
    return [...new Set(methods)].sort();
  }
}

function patternOf(url: string): RegExp {
  const pattern = url.replace(/:\w+/g, "[^/]+").replace(/\*$/, ".*").replaceAll("/", "/+");
  return new RegExp(`^${pattern}/*$`, "i");
}
