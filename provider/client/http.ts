import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { Agent, type Dispatcher } from "undici";
import type { z } from "zod";
import { type Connection, socketPathOf } from "./connection";
import { SandboxesError } from "./errors";
import { failureOf, transportFailure } from "./failures";
import { type Attempt, type RetryPolicy, readRetryAfter, withRetry } from "./retry";
import { connectUnix } from "./socket";
import { defaultApiVersion } from "./wire/identifiers";

/** A streamed body can be sent once only, whatever `repeatable` says. */
export type Body = Uint8Array | AsyncIterable<Uint8Array>;

export interface CallOptions {
  signal?: AbortSignal;
}

export interface HttpRequest extends CallOptions {
  method: "GET" | "PUT" | "POST" | "PATCH" | "DELETE";
  path: string;
  query?: Record<string, string | undefined>;
  json?: unknown;
  body?: Body;
  /** Reads on from "Cannot", for messages: `create a sandbox`. */
  action: string;
  /** Doing it twice is the same as doing it once. Default: GET, PUT, DELETE. */
  repeatable?: boolean;
  /** Limit until the answer begins and between its parts; 0 is none. Default one minute. */
  timeoutMs?: number;
}

export interface HttpOptions {
  retry?: RetryPolicy;
}

const defaultTimeoutMs = 60_000;

/** Sends requests to one endpoint over kept connections; idle ones do not keep the process alive. */
export class HttpClient {
  readonly connection: Connection;
  readonly #agent: Agent;
  readonly #origin: string;
  readonly #pathPrefix: string;
  readonly retry: RetryPolicy | undefined;

  constructor(connection: Connection, options: HttpOptions = {}) {
    this.connection = connection;
    this.#agent = agentFor(connection);
    const url = new URL(socketPathOf(connection.endpoint) === undefined ? connection.endpoint : "http://localhost");
    this.#origin = url.origin;
    this.#pathPrefix = url.pathname.replace(/\/+$/, "");
    this.retry = options.retry;
  }

  /** Sends, and reads the answer through a schema. */
  json<Schema extends z.ZodType>(schema: Schema, request: HttpRequest): Promise<z.output<Schema>> {
    return this.#run(request, async (response, requestId) => {
      const parsed = schema.safeParse(parseJson(await response.body.text()));
      if (parsed.success) return parsed.data;
      const issue = parsed.error.issues[0];
      const where = issue?.path.length ? ` at ${issue.path.join(".")}` : "";
      throw new SandboxesError(
        "Internal",
        `Cannot ${request.action}: the answer is not understood${where}: ${issue?.message}`,
        {
          requestId,
          hint: "is the endpoint a sandboxes host of a matching version?",
        },
      );
    });
  }

  /** Sends, and tells only the status: for answers that may be empty. */
  status(request: HttpRequest): Promise<number> {
    return this.#run(request, async (response) => {
      await response.body.dump();
      return response.statusCode;
    });
  }

  /** The bytes of an answer as they come; the caller reads or destroys the stream. Not repeated once it has begun. */
  stream(request: HttpRequest): Promise<Readable> {
    return this.#run(request, async (response) => response.body);
  }

  /** Lets running requests end, then closes the connections. Repeatable. */
  async close(): Promise<void> {
    if (!this.#agent.closed) await this.#agent.close();
  }

  #run<T>(
    request: HttpRequest,
    consume: (response: Dispatcher.ResponseData, requestId: string) => Promise<T>,
  ): Promise<T> {
    const requestId = randomUUID();
    const oneShot = request.body !== undefined && !(request.body instanceof Uint8Array);
    const repeatable = request.repeatable ?? ["GET", "PUT", "DELETE"].includes(request.method);
    const attempt = () => this.#attempt(request, requestId, consume);
    const limited = oneShot ? { attempts: 1, budgetMs: 0, baseMs: 0, maxMs: 0 } : this.retry;
    return withRetry(attempt, { repeatable, policy: limited, signal: request.signal });
  }

  async #attempt<T>(
    request: HttpRequest,
    requestId: string,
    consume: (response: Dispatcher.ResponseData, requestId: string) => Promise<T>,
  ): Promise<Attempt<T>> {
    const { action, signal } = request;
    signal?.throwIfAborted();
    try {
      const response = await this.#send(request, requestId);
      if (response.statusCode < 400) return { value: await consume(response, requestId) };
      const body = parseJson(await response.body.text());
      const error = failureOf({ status: response.statusCode, body, requestId }, action);
      const afterMs = readRetryAfter(single(response.headers["retry-after"]));
      return { error, repeat: repeatOf(response.statusCode), afterMs };
    } catch (error) {
      if (error instanceof SandboxesError) return { error, repeat: "no" };
      signal?.throwIfAborted();
      return transportFailure(error, action, this.connection.endpoint, requestId);
    }
  }

  #send(request: HttpRequest, requestId: string): Promise<Dispatcher.ResponseData> {
    const headers = requestHeaders(this.connection, requestId);
    let body: Uint8Array | string | Readable | undefined;
    if (request.body !== undefined) {
      headers["content-type"] = "application/octet-stream";
      body = request.body instanceof Uint8Array ? request.body : Readable.from(request.body, { objectMode: false });
    } else if (request.method !== "GET" && request.method !== "DELETE") {
      // Azure hangs on a POST without a body, so there always is one.
      headers["content-type"] = "application/json";
      body = JSON.stringify(request.json ?? {});
    }
    const timeout = request.timeoutMs ?? defaultTimeoutMs;
    return this.#agent.request({
      origin: this.#origin,
      path: this.#pathPrefix + withQuery(request.path, request.query),
      method: request.method,
      headers,
      body,
      signal: request.signal,
      headersTimeout: timeout,
      bodyTimeout: timeout,
    });
  }
}

/** Adds the query and, unless the path has one already (a next link), the api-version. */
export function withQuery(path: string, query: Record<string, string | undefined> = {}): string {
  const [bare, old] = splitOnce(path, "?");
  const params = new URLSearchParams(old);
  if (!params.has("api-version")) params.set("api-version", defaultApiVersion);
  for (const [key, value] of Object.entries(query)) if (value !== undefined) params.set(key, value);
  return `${bare}?${params}`;
}

/** Headers that go with every request, also with the opening of a WebSocket. */
export function requestHeaders({ token }: Connection, requestId: string): Record<string, string> {
  const headers: Record<string, string> = { accept: "*/*", "x-ms-client-request-id": requestId };
  if (token !== undefined) headers.authorization = `Bearer ${token}`;
  return headers;
}

function agentFor({ endpoint, ca }: Connection): Agent {
  const path = socketPathOf(endpoint);
  if (path === undefined) return new Agent({ connect: { ca } });
  return new Agent({
    connect: (_options, callback) => {
      const socket = connectUnix(path);
      const fail = (error: Error) => callback(error, null);
      socket.once("error", fail).once("connect", () => callback(null, socket.off("error", fail)));
    },
  });
}

/** Whether an answer of that status lets the request be sent again. */
export function repeatOf(status: number): "no" | "refused" | "unknown" {
  if (status === 429) return "refused";
  return status === 502 || status === 503 || status === 504 ? "unknown" : "no";
}

/** JSON, or the text itself where it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text; // A proxy's page or nothing at all; the reader of the body says so.
  }
}

function single(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
