import { randomUUID } from "node:crypto";
import type { Readable } from "node:stream";
import { Agent, type Dispatcher } from "undici";
import type { z } from "zod";
import { receiveBody, sendBody } from "./bodies";
import { type Connection, socketPathOf } from "./connection";
import { SandboxesError } from "./errors";
import { transportFailure } from "./failures";
import type { Answer, Plane } from "./plane";
import { type Attempt, type RetryPolicy, readRetryAfter, withRetry } from "./retry";
import { connectUnix } from "./socket";

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
  /** Of the data plane. */
  apiVersion?: string;
  /** How long the target azure waits for a role to take effect. */
  roleRetry?: RetryPolicy;
  /** Sandboxes that are created at the same time; further ones wait for their turn. Default 16. */
  creations?: number;
}

const defaultTimeoutMs = 60_000;

/** Sends requests to one plane of a service over kept connections; idle ones do not keep the process alive. */
export class HttpClient {
  readonly connection: Connection;
  readonly plane: Plane;
  readonly #agent: Agent;

  /** The agent is shared by the planes of one service, and closed by its owner. */
  constructor(connection: Connection, plane: Plane, agent: Agent) {
    this.connection = connection;
    this.plane = plane;
    this.#agent = agent;
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

  /** Sends, and hands out all there is: for answers whose headers matter. */
  answer(request: HttpRequest): Promise<FullAnswer> {
    return this.#run(request, async (response, requestId) => ({
      status: response.statusCode,
      headers: Object.fromEntries(Object.entries(response.headers).map(([name, value]) => [name, single(value)])),
      body: parseJson(await response.body.text()),
      requestId,
    }));
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
    const { action, signal } = request;
    return this.#run(request, async ({ body }, requestId) => {
      const endpoint = await this.plane.endpoint(signal);
      return receiveBody(body, (cause) =>
        signal?.aborted ? signal.reason : transportFailure(cause, action, endpoint, requestId).error,
      );
    });
  }

  /** The bytes of an answer, all at once. */
  bytes(request: HttpRequest): Promise<Buffer> {
    return this.#run(request, async ({ body }) => Buffer.from(await body.arrayBuffer()));
  }

  #run<T>(
    request: HttpRequest,
    consume: (response: Dispatcher.ResponseData, requestId: string) => Promise<T>,
  ): Promise<T> {
    const requestId = randomUUID();
    const oneShot = request.body !== undefined && !(request.body instanceof Uint8Array);
    const repeatable = request.repeatable ?? ["GET", "PUT", "DELETE"].includes(request.method);
    let mayRenew = true;
    const attempt = async () => {
      const result = await this.#attempt(request, requestId, consume);
      if (!("error" in result) || !mayRenew || !isUnauthorized(result.error)) return result;
      mayRenew = false;
      return this.plane.renewToken?.() ? { ...result, repeat: "refused" as const } : result;
    };
    const limited = oneShot ? { attempts: 1, budgetMs: 0, baseMs: 0, maxMs: 0 } : this.plane.retry;
    const once = async () => {
      const result = await attempt();
      return "error" in result ? { ...result, repeat: "no" as const } : result;
    };
    return withRetry(oneShot ? once : attempt, { repeatable, policy: limited, signal: request.signal });
  }

  async #attempt<T>(
    request: HttpRequest,
    requestId: string,
    consume: (response: Dispatcher.ResponseData, requestId: string) => Promise<T>,
  ): Promise<Attempt<T>> {
    const { action, signal } = request;
    signal?.throwIfAborted();
    const endpoint = await this.plane.endpoint(signal);
    const source = request.body && !(request.body instanceof Uint8Array) ? sendBody(request.body) : undefined;
    try {
      const response = await this.#send(request, endpoint, requestId, source?.stream);
      if (response.statusCode < 400) {
        const value = await consume(response, requestId);
        this.plane.succeeded?.();
        return { value };
      }
      const body = parseJson(await response.body.text());
      return judged(this.plane, { status: response.statusCode, body, requestId, headers: response.headers }, action);
    } catch (error) {
      if (error instanceof SandboxesError) return { error, repeat: "no" };
      signal?.throwIfAborted();
      const failure = source?.failure();
      if (failure) return { error: failure.cause, repeat: "no" };
      return transportFailure(error, action, endpoint, requestId);
    }
  }

  async #send(
    request: HttpRequest,
    endpoint: string,
    requestId: string,
    streamed: Readable | undefined,
  ): Promise<Dispatcher.ResponseData> {
    const headers = requestHeaders(await this.plane.token(request.signal), requestId);
    let body: Uint8Array | string | Readable | undefined;
    if (request.body !== undefined) {
      headers["content-type"] = "application/octet-stream";
      body = streamed ?? (request.body as Uint8Array);
    } else if (request.method !== "GET" && request.method !== "DELETE") {
      // Azure hangs on a POST without a body, so there always is one.
      headers["content-type"] = "application/json";
      body = JSON.stringify(request.json ?? {});
    }
    const timeout = request.timeoutMs ?? defaultTimeoutMs;
    const url = new URL(socketPathOf(endpoint) === undefined ? endpoint : "http://localhost");
    return this.#agent.request({
      origin: url.origin,
      path: url.pathname.replace(/\/+$/, "") + withQuery(request.path, this.plane.dialect.apiVersion, request.query),
      method: request.method,
      headers,
      body,
      signal: request.signal,
      headersTimeout: timeout,
      bodyTimeout: timeout,
    });
  }
}

export interface FullAnswer {
  status: number;
  /** By lower-case name. */
  headers: Record<string, string | undefined>;
  /** Parsed JSON, or text. */
  body: unknown;
  requestId: string;
}

/** Adds the query and, unless the path has one already (a next link), the api-version. */
export function withQuery(path: string, apiVersion: string, query: Record<string, string | undefined> = {}): string {
  const [bare, old] = splitOnce(path, "?");
  const params = new URLSearchParams(old);
  if (!params.has("api-version")) params.set("api-version", apiVersion);
  for (const [key, value] of Object.entries(query)) if (value !== undefined) params.set(key, value);
  return `${bare}?${params}`;
}

/** Headers that go with every request, also with the opening of a WebSocket. */
export function requestHeaders(token: string | undefined, requestId: string): Record<string, string> {
  const headers: Record<string, string> = { accept: "*/*", "x-ms-client-request-id": requestId };
  if (token !== undefined) headers.authorization = `Bearer ${token}`;
  return headers;
}

/** What an answer of status 400 and above means on that plane, with the service's wish for the time to wait. */
export function judged(
  plane: Plane,
  answer: Answer & { headers: Record<string, string | string[] | undefined> },
  action: string,
): Extract<Attempt<never>, { error: unknown }> {
  const afterMs = readRetryAfter(single(answer.headers["retry-after"]));
  const serviceRequestId = single(answer.headers["x-ms-request-id"]);
  return { afterMs, ...plane.judge({ ...answer, serviceRequestId }, action) };
}

/** Connections to the endpoints of one service; to close when done, idle ones keep no process alive. */
export function agentFor({ endpoint, ca }: Connection): Agent {
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

function isUnauthorized(error: unknown): boolean {
  return error instanceof SandboxesError && error.status === 401;
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
