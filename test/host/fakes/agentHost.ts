import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { HostServerOptions } from "../../../provider/host/server";
import type { VmDriver } from "../../../provider/host/vm/driver";
import { createMemoryDriver } from "../../../provider/host/vm/memory";
import { groupPath, RunningHost } from "./runningHost";

/** A host whose sandboxes are real agents, in network namespaces of their own where this user may make them. */
export class AgentHost extends RunningHost {
  #options: Partial<HostServerOptions> = {};
  driver!: VmDriver;

  override async start(change: Partial<HostServerOptions> = this.#options): Promise<this> {
    this.#options = change;
    this.driver = await createMemoryDriver({ dataDirectory: this.dataDir });
    return super.start({ driver: this.driver, ...change });
  }

  /** False where sandboxes share this machine's network. */
  get isApart(): boolean {
    return this.driver.capabilities.isApart;
  }

  /** Runs a line of shell to its end. */
  async shell(id: string, command: string): Promise<{ exitCode: number; stdout: string; stderr: string }> {
    const reply = await this.call("POST", `${groupPath}/sandboxes/${id}/executeShellCommand`, {
      ...{ command, shell: "/bin/bash", timeoutMs: 110_000 },
    });
    if (reply.status !== 200) throw new Error(`exec: ${reply.text}`);
    return reply.body;
  }

  /** Starts a line of shell that goes on. */
  async background(id: string, command: string): Promise<void> {
    await this.shell(id, `nohup setsid bash -c '${command.replaceAll("'", "'\\''")}' >/dev/null 2>&1 &`);
  }

  override async close(): Promise<void> {
    await this.disconnect();
    await this.server?.stop({ stopSandboxes: true });
    await super.close();
  }
}

/** What bash can say without any other program: sends a request, prints the answer. */
export const bashRequest = `request() { exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "$2" >&3 && cat <&3; exec 3>&-; }`;

/** A program for the guest that answers each connection; perl is part of every Debian. */
export const perlServer = (port: number, answer: string) => `perl -MIO::Socket::INET -e '
  my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => ${port}, Listen => 9, ReuseAddr => 1) or die;
  while (my $client = $server->accept) {
    my $head = ""; while (<$client>) { $head .= $_; last if /^\\r?$/; }
    my ($line) = split /\\r/, $head;
    my $body = "${answer} $line";
    print $client "HTTP/1.1 200 OK\\r\\nContent-Length: " . length($body) . "\\r\\nConnection: close\\r\\n\\r\\n$body";
    close $client;
  }'`;

/** The host's own authority, of a host that serves TLS. */
export function authorityOf(host: AgentHost): string {
  return readFileSync(join(host.dataDir, "tls", "ca.pem"), "utf8");
}
