import { AsyncLocalStorage } from "node:async_hooks";
import type { FastifyInstance } from "fastify";

const present = new AsyncLocalStorage<string>();

/** What a line says of itself: the request that set in motion what it tells of, however long ago. */
export function requestFacts(_facts: object, _level: number, logger: { bindings(): object }): object {
  const requestId = present.getStore();
  return requestId === undefined || "requestId" in logger.bindings() ? {} : { requestId };
}

/**
 * One line for each request that changed something or failed: method, path, status, time. Never query, headers or
 * body, which hold file names, labels, tokens and secrets; clients poll with GET, so good ones of these are not told.
 */
export function logRequests(app: FastifyInstance): void {
  // Not before the body was read, whose events come from elsewhere.
  app.addHook("preValidation", (request, _reply, done) => present.run(request.id, done));
  app.addHook("onResponse", async (request, reply) => {
    const { statusCode: status } = reply;
    if (request.method === "GET" && status < 400) return;
    const facts = {
      method: request.method,
      path: request.url.split("?")[0],
      status,
      ms: Math.round(reply.elapsedTime),
    };
    if (status >= 500) request.log.warn(facts, "request failed");
    else request.log.info(facts, "request");
  });
}
