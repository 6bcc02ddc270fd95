import { createHash } from "node:crypto";
import type { FastifyReply, FastifyRequest, RouteHandlerMethod } from "fastify";

/** Azure's Python SDK repeats a call for at most some 10 minutes, all with one id. */
const rememberMs = 10 * 60_000;
const maxEntries = 2000;
/** All remembered answers together; an answer over the whole limit is not remembered. */
const maxBytes = 64 * 2 ** 20;

export interface Answer {
  status: number;
  body: object;
}

interface Entry {
  answer: Promise<Answer>;
  until: number;
  bytes: number;
}

/**
 * First answers by client request id: a call that is sent again after a lost reply must not run twice. Only successes
 * are kept; a failed call may be tried anew. A repeat of a call that still runs waits for its answer.
 */
export class ReplayMemory {
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  async once(key: string, work: () => Promise<Answer>): Promise<Answer> {
    this.#dropOld();
    const known = this.#entries.get(key);
    if (known) return known.answer;
    const entry: Entry = { answer: work(), until: Number.POSITIVE_INFINITY, bytes: 0 };
    this.#entries.set(key, entry);
    try {
      const answer = await entry.answer;
      entry.until = Date.now() + rememberMs;
      entry.bytes = JSON.stringify(answer.body).length;
      this.#bytes += entry.bytes;
      return answer;
    } catch (error) {
      this.#entries.delete(key);
      throw error;
    }
  }

  #dropOld(): void {
    for (const [key, entry] of this.#entries) {
      const crowded = this.#entries.size > maxEntries || this.#bytes > maxBytes;
      if (entry.until > Date.now() && !(crowded && entry.until !== Number.POSITIVE_INFINITY)) continue;
      this.#entries.delete(key);
      this.#bytes -= entry.bytes;
    }
  }
}

/** A route whose answer is given again to a repeated `x-ms-client-request-id` with the same address and body. */
export function replayed(
  memory: ReplayMemory,
  work: (request: FastifyRequest, reply: FastifyReply) => Promise<Answer>,
): RouteHandlerMethod {
  return async (request, reply) => {
    const id = request.headers["x-ms-client-request-id"];
    const run = () => work(request, reply);
    const answer = await (typeof id === "string" && id !== "" ? memory.once(keyOf(request, id), run) : run());
    return reply.code(answer.status).send(answer.body);
  };
}

/** The body too: some clients send one fixed id for everything. */
function keyOf(request: FastifyRequest, id: string): string {
  const facts = [request.method, request.url, id, JSON.stringify(request.body ?? null)];
  return createHash("sha256").update(facts.join("\n")).digest("base64");
}
