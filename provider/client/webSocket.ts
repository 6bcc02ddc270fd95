import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import WebSocket from "ws";
import { socketPathOf } from "./connection";
import { transportFailure } from "./failures";
import { type HttpClient, judged, parseJson, requestHeaders, withQuery } from "./http";
import { type Attempt, withRetry } from "./retry";
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
  const attempt = () => dial(http, path, options);
  return withRetry(attempt, { repeatable: true, policy: http.plane.retry, signal: options.signal });
}

async function dial(http: HttpClient, path: string, options: OpenOptions): Promise<Attempt<WebSocket>> {
  const { action, requestId, signal } = options;
  signal?.throwIfAborted();
  const endpoint = await http.plane.endpoint(signal);
  const headers = requestHeaders(await http.plane.token(signal), requestId);
  return new Promise((resolve, reject) => {
    const target = withQuery(path, http.plane.dialect.apiVersion);
    const socket = newSocket(endpoint, target, headers, http.connection.ca);
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
    socket.once("error", (error) => settle(transportFailure(error, action, endpoint, requestId)));
    socket.once("unexpected-response", (_request, response) => {
      readRefusal(http, response, options)
        .catch((error) => transportFailure(error, action, endpoint, requestId))
        .then((attempt) => {
          settle(attempt);
          socket.terminate();
        });
    });
  });
}

async function readRefusal(
  { plane }: HttpClient,
  response: IncomingMessage,
  { action, requestId }: OpenOptions,
): Promise<Attempt<never>> {
  const { statusCode: status = 0, headers } = response;
  return judged(plane, { status, body: parseJson(await text(response)), requestId, headers }, action);
}

function newSocket(endpoint: string, path: string, headers: Record<string, string>, ca: string | undefined): WebSocket {
  const unixPath = socketPathOf(endpoint);
  const options = { headers, handshakeTimeout: handshakeTimeoutMs, perMessageDeflate: false };
  if (unixPath !== undefined) {
    return new WebSocket(`ws://localhost${path}`, { ...options, createConnection: () => connectUnix(unixPath) });
  }
  return new WebSocket(endpoint.replace(/^https/, "wss") + path, { ...options, ca });
}
