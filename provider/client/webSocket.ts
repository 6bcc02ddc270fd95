import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import WebSocket from "ws";
import { type Connection, socketPathOf } from "./connection";
import { failureOf, transportFailure } from "./failures";
import { type HttpClient, parseJson, repeatOf, requestHeaders, withQuery } from "./http";
import { type Attempt, readRetryAfter, withRetry } from "./retry";
import { connectUnix } from "./socket";

export interface OpenOptions {
  /** Reads on from "Cannot", for messages. */
  action: string;
  requestId: string;
  /** Gives up the opening; afterwards it is the caller's to heed. */
  signal?: AbortSignal;
}

const handshakeTimeoutMs = 60_000;

/**
 * Opens a WebSocket on a path of the endpoint, with the retries of a GET: nothing has begun before it stands. Resolves
 * with a paused socket: the caller adds its listeners, then resumes it.
 */
export function openWebSocket(http: HttpClient, path: string, options: OpenOptions): Promise<WebSocket> {
  const attempt = () => dial(http.connection, withQuery(path), options);
  return withRetry(attempt, { repeatable: true, policy: http.retry, signal: options.signal });
}

function dial(connection: Connection, path: string, options: OpenOptions): Promise<Attempt<WebSocket>> {
  const { action, requestId, signal } = options;
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const socket = newSocket(connection, path, requestId);
    const detach = () => {
      signal?.removeEventListener("abort", abort);
      // Ending a socket that never opened is told as an error, after the true reason.
      socket.removeAllListeners().on("error", () => {});
    };
    const abort = () => {
      detach();
      socket.terminate();
      reject(signal?.reason);
    };
    const settle = (attempt: Attempt<WebSocket>) => {
      detach();
      resolve(attempt);
    };
    signal?.addEventListener("abort", abort, { once: true });
    socket.once("open", () => {
      socket.pause();
      settle({ value: socket });
    });
    socket.once("error", (error) => settle(transportFailure(error, action, connection.endpoint, requestId)));
    socket.once("unexpected-response", (_request, response) => {
      readRefusal(response, options)
        .catch((error) => transportFailure(error, action, connection.endpoint, requestId))
        .then((attempt) => {
          settle(attempt);
          socket.terminate();
        });
    });
  });
}

async function readRefusal(response: IncomingMessage, { action, requestId }: OpenOptions): Promise<Attempt<never>> {
  const status = response.statusCode ?? 0;
  const error = failureOf({ status, body: parseJson(await text(response)), requestId }, action);
  return { error, repeat: repeatOf(status), afterMs: readRetryAfter(response.headers["retry-after"]) };
}

function newSocket(connection: Connection, path: string, requestId: string): WebSocket {
  const unixPath = socketPathOf(connection.endpoint);
  const options = {
    headers: requestHeaders(connection, requestId),
    handshakeTimeout: handshakeTimeoutMs,
    perMessageDeflate: false,
  };
  if (unixPath !== undefined) {
    return new WebSocket(`ws://localhost${path}`, { ...options, createConnection: () => connectUnix(unixPath) });
  }
  return new WebSocket(connection.endpoint.replace(/^https/, "wss") + path, { ...options, ca: connection.ca });
}
