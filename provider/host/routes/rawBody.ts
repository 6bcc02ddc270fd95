import { Readable } from "node:stream";
import type { FastifyInstance, FastifyRequest } from "fastify";

/** Registers routes whose bodies are bytes, whatever their Content-Type says; `sourceOf` reads them. */
export function withRawBodies(app: FastifyInstance, register: (raw: FastifyInstance) => void): void {
  app.register(async (raw) => {
    raw.removeAllContentTypeParsers();
    raw.addContentTypeParser("*", (_request, payload, done) => done(null, payload));
    register(raw);
  });
}

/** The body as it comes; a request without one has an empty one. */
export function sourceOf(request: FastifyRequest): Readable {
  return request.body instanceof Readable ? request.body : Readable.from([]);
}
