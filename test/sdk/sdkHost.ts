import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHostServer, type HostServer, type HostServerOptions } from "../../provider/host/server";
import { openDatabase } from "../../provider/host/store/database";
import { createMemoryDriver } from "../../provider/host/vm/memory";
import { failureLogs } from "../failureLogs";
import { Shelf } from "../host/fakes/shelf";

/** A host as a stranger meets it: TLS by an authority of its own, and a token. */
export class SdkHost {
  readonly dataDir = mkdtempSync(join(tmpdir(), "sdk-"));
  readonly token = "a-token-of-many-characters";
  endpoint = "";
  caFile = "";
  #server: HostServer | undefined;
  readonly #log: string[] = [];

  async start(change: Partial<HostServerOptions> = {}): Promise<this> {
    failureLogs.set("the host's log", () => this.#log.join(""));
    this.#server = createHostServer({
      ...{ dataDir: this.dataDir, database: openDatabase(this.dataDir) },
      ...{ listen: "127.0.0.1:0", tls: "self-signed", token: this.token, region: "local", version: "0.0.0-test" },
      driver: change.driver ?? (await createMemoryDriver({ dataDirectory: this.dataDir })),
      images: new Shelf(),
      log: { write: (line) => void this.#log.push(line) },
      ...change,
    });
    const { endpoint, caFile = "" } = await this.#server.start();
    this.endpoint = endpoint;
    this.caFile = caFile;
    return this;
  }

  /** What programs that use this host find in their environment. */
  get environment(): Record<string, string> {
    return { SANDBOXES_ENDPOINT: this.endpoint, SANDBOXES_TOKEN: this.token, SANDBOXES_CA_FILE: this.caFile };
  }

  /** For clients of Azure Resource Manager in JavaScript: who asks, and where. */
  get armClient() {
    const getToken = async () => ({ token: this.token, expiresOnTimestamp: Date.now() + 3600_000 });
    const options = { endpoint: this.endpoint, tlsOptions: { ca: readFileSync(this.caFile) } };
    return { credential: { getToken }, options };
  }

  /** What the host warned of so far: says more about a failed test than what its clients were told. */
  get warnings(): string {
    return this.#log.filter((line) => (JSON.parse(line) as { level: number }).level >= 40).join("");
  }

  async close(): Promise<void> {
    await this.#server?.stop({ stopSandboxes: true });
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}
