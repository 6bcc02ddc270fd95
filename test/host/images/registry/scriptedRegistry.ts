import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer, type Server as TcpServer } from "node:net";
import zlib from "node:zlib";
import { digestOf } from "../testLayout";
import { file, tarOf } from "../testTar";

export interface LayerRequest {
  request: IncomingMessage;
  response: ServerResponse;
  /** Where the caller wants to go on; 0 without a Range. */
  start: number;
  /** Which request for the layer it is, from 1 on. */
  number: number;
}

export interface ScriptedRegistry {
  /** `127.0.0.1:PORT/scripted:1` */
  reference: string;
  host: string;
  digest: string;
  layer: Buffer;
  /** The `Range` headers of what was asked for the layer; undefined for all of it. */
  layerRequests: (string | undefined)[];
}

/** Answers a request instead of the registry: `silence` for not at all, undefined leaves it to the registry. */
type Intercept = (request: IncomingMessage, response: ServerResponse) => "answered" | "silence" | undefined;

const servers: (Server | TcpServer)[] = [];

/** A registry written for a test, with one image of one layer of about so many bytes; `send` answers for the layer. */
export async function startScriptedRegistry(
  bytes: number,
  send: (layer: Buffer, call: LayerRequest) => void,
  intercept: Intercept = () => undefined,
): Promise<ScriptedRegistry> {
  const tar = tarOf([file("noise", noise(bytes))]);
  const layer = zlib.gzipSync(tar, { level: 1 });
  const config = Buffer.from(
    JSON.stringify({
      architecture: "amd64",
      os: "linux",
      config: {},
      rootfs: { type: "layers", diff_ids: [digestOf(tar)] },
    }),
  );
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: digestOf(config), size: config.length },
      layers: [
        { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: digestOf(layer), size: layer.length },
      ],
    }),
  );
  const layerRequests: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    if (intercept(request, response) !== undefined) return;
    const { url = "" } = request;
    if (url === "/v2/") return void response.end("{}");
    if (url.includes("/manifests/")) {
      response.setHeader("content-type", "application/vnd.oci.image.manifest.v1+json");
      return void response.end(manifest);
    }
    if (url.endsWith(digestOf(config))) return void response.end(config);
    layerRequests.push(request.headers.range);
    const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    response.setHeader("content-length", layer.length);
    send(layer, { request, response, start, number: layerRequests.length });
  });
  const host = await listening(server);
  return { reference: `${host}/scripted:1`, host, digest: digestOf(manifest), layer, layerRequests };
}

/** Sends what a Range asks for, up to `count` bytes, and cuts the connection if that is not all. */
export function sendPart(layer: Buffer, { response, start }: LayerRequest, count = Number.POSITIVE_INFINITY): void {
  const part = layer.subarray(start, start + count);
  response.setHeader("content-length", layer.length - start);
  if (start > 0) {
    response.statusCode = 206;
    response.setHeader("content-range", `bytes ${start}-${layer.length - 1}/${layer.length}`);
  }
  if (start + part.length === layer.length) response.end(part);
  // Not destroy(): what has left already might not arrive then.
  else response.write(part, () => response.socket?.end());
}

/** A line to a registry that breaks after each `bytes` of answer. */
export async function startBreakingLine(
  registry: string,
  bytes: number,
): Promise<{ host: string; breaks: () => number }> {
  let breaks = 0;
  const [address, port] = registry.split(":");
  const server = createTcpServer((client) => {
    const upstream = connect(Number(port), address);
    let left = bytes;
    upstream.on("data", (chunk) => {
      client.write(chunk.subarray(0, left));
      left -= chunk.length;
      if (left > 0) return;
      breaks++;
      upstream.destroy();
      client.end();
    });
    client.pipe(upstream);
    for (const socket of [client, upstream]) socket.on("error", () => undefined);
    upstream.on("close", () => client.end());
    client.on("close", () => upstream.destroy());
  });
  return { host: await listening(server), breaks: () => breaks };
}

export async function closeScriptedRegistries(): Promise<void> {
  for (const server of servers.splice(0)) {
    if ("closeAllConnections" in server) server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** Bytes that no compression makes less, the same in each run. */
export function noise(bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  let state = 1;
  for (let index = 0; index < bytes; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    buffer[index] = state >>> 24;
  }
  return buffer;
}

async function listening(server: Server | TcpServer): Promise<string> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}
