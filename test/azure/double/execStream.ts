import type { IncomingMessage } from "node:http";
import type { Duplex, Readable } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { execClientFrame } from "../../../provider/client/wire/exec";
import { exitCodeOf, startIn } from "./guest";
import type { StoredSandbox } from "./model";
import { renderError, WireError, type WireRequest } from "./wire";

const startKeys = ["command", "environment", "tty", "stdin", "height", "width"];

/** Programs over a WebSocket with the frames that Azure's sample has, and no others. */
export class ExecStreams {
  readonly #server = new WebSocketServer({ noServer: true });
  readonly #violations: string[];

  constructor(violations: string[]) {
    this.#violations = violations;
  }

  /** `find` refuses strangers and sandboxes that do not run. */
  upgrade(
    request: WireRequest,
    incoming: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    find: (request: WireRequest) => StoredSandbox,
  ): void {
    try {
      const sandbox = find(request);
      this.#server.handleUpgrade(incoming, socket, head, (peer) => this.#serve(peer, sandbox));
    } catch (error) {
      const known = error instanceof WireError ? error : new WireError(500, "InternalServerError", String(error));
      const { status, json } = renderError(request, known);
      const body = known.code === "" ? "" : JSON.stringify(json);
      socket.end(
        `HTTP/1.1 ${status} X\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      );
    }
  }

  close(): void {
    for (const client of this.#server.clients) client.terminate();
    this.#server.close();
  }

  #serve(peer: WebSocket, sandbox: StoredSandbox): void {
    let stdin: NodeJS.WritableStream | undefined;
    peer.on("error", () => peer.terminate());
    peer.on("message", (data) => {
      const frame = execClientFrame.parse(JSON.parse(String(data)));
      if (frame.type === "start") {
        const odd = Object.keys(frame.start).filter((key) => !startKeys.includes(key));
        if (odd.length > 0) this.#violations.push(`exec/stream: start.${odd.join(", ")}`);
        this.#run(peer, sandbox, frame.start.command, frame.start)
          .then((input) => {
            stdin = input;
          })
          .catch((error) => {
            peer.send(JSON.stringify({ type: "error", code: error.serviceCode, message: error.message }));
            peer.close();
          });
      } else if (frame.type === "stdin") stdin?.write(Buffer.from(frame.data, "base64"));
      else this.#violations.push(`exec/stream: Azure has no frame ${frame.type}`);
    });
  }

  async #run(
    peer: WebSocket,
    sandbox: StoredSandbox,
    argv: string[],
    start: { environment?: Record<string, string> | null; stdin?: boolean | null },
  ): Promise<NodeJS.WritableStream | undefined> {
    const process = await startIn(sandbox, argv, { environment: start.environment, stdin: start.stdin ?? true });
    peer.once("close", () => process.kill("SIGKILL"));
    process.stdin?.on("error", () => {});
    const work = [pump(process.stdout, "stdout", peer), pump(process.stderr, "stderr", peer)];
    Promise.all(work)
      .then(() => process.exit)
      .then((exit) => {
        peer.send(JSON.stringify({ type: "exit_code", exitCode: exitCodeOf(exit) }));
        peer.close();
      })
      .catch(() => peer.terminate());
    return process.stdin;
  }
}

async function pump(stream: Readable, type: string, peer: WebSocket): Promise<void> {
  for await (const chunk of stream) {
    const data = Buffer.from(chunk as Buffer).toString("base64");
    await new Promise((done) => peer.send(JSON.stringify({ type, data }), done));
  }
}
