import type { FastifyInstance } from "fastify";

/**
 * One line for each request that changed something or failed: method, path, status, time. Never query, headers or
 * body, which hold file names, labels, tokens and secrets; clients poll with GET, so good ones of these are not told.
 */
export function logRequests(app: FastifyInstance): void {
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
