import type { CreateSandboxContent } from "../../../provider/client/wire/sandboxes";
import type { KnownSandbox, Traits } from "./ledger";

/** The volume that many sandboxes have. */
export const sharedVolume = "shared";
const places = { shared: "/mnt/shared", disk: "/mnt/disk" };
const port = 8080;
/** Seconds that a sleeper is let alone. */
const sleepsAfter = 3;
/** Allowed by the policy, though no sandbox may ever connect to it; the other one is not. */
const addresses = { allowed: "169.254.169.254", denied: "elsewhere.example" };

/** What a creation asks for. */
export function contentOf(traits: Traits): Partial<CreateSandboxContent> {
  const { sleeps, livesForMs, hasPort, hasEgress, isSharing, disk } = traits;
  const volumes = [
    ...(isSharing ? [{ volumeName: sharedVolume, mountpoint: places.shared }] : []),
    ...(disk ? [{ volumeName: disk, mountpoint: places.disk }] : []),
  ];
  const lifecycle = {
    autoSuspendPolicy: { enabled: sleeps === true, interval: sleepsAfter },
    autoDeletePolicy: {
      enabled: livesForMs !== undefined,
      deleteIntervalInSeconds: livesForMs === undefined ? undefined : livesForMs / 1000,
      trigger: "AfterCreation",
    },
  };
  return {
    lifecycle,
    volumes,
    ...(hasPort && { ports: [{ port, auth: { anonymous: true }, activationMode: "OnDemand" as const }] }),
    ...(hasEgress && {
      egressPolicy: { defaultAction: "Deny", hostRules: [{ pattern: addresses.allowed, action: "Allow" }] },
    }),
  };
}

/** Leaves a token in memory, and programs that go on for ever: one that sleeps, a web server, one that writes to a disk. */
export function setUpScript(token: string, { hasPort, disk }: Traits): string {
  const background = (script: string, pidFile: string) =>
    `sh -c '${script}' > /dev/null 2>&1 < /dev/null & echo $! > ${pidFile}`;
  return [
    `echo '${token}' > /tmp/token`,
    "cp /tmp/token /root/token",
    background("while :; do sleep 60; done", "/tmp/program"),
    ...(hasPort ? [`mkdir /tmp/www; cp /tmp/token /tmp/www; httpd -p 127.0.0.1:${port} -h /tmp/www`] : []),
    ...(disk ? [background(writer, "/tmp/writer")] : []),
    "sync",
    `touch ${setUpMark}`,
  ].join("\n");
}

/** Made last. */
export const setUpMark = "/tmp/set-up";

const log = `${places.disk}/log`;
/** Goes on where another sandbox that had the disk has ended. */
const writer = [
  `i=$(cat ${log} 2>/dev/null | wc -l)`,
  `while :; do i=$((i+1)); echo $i >> ${log} || echo $i >> /tmp/failed; sleep 0.4; done`,
].join("; ");

/** In the background of every sandbox: what it has printed tells whether it ever stopped, or was started again. */
export const counter = {
  id: "counter",
  command: ["/bin/sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.3; done"],
};

/** What is wrong with what it has printed. */
export function miscounted(output: string): string | undefined {
  const lines = output.split("\n").slice(0, -1);
  const wrong = lines.findIndex((line, index) => line !== String(index + 1));
  return wrong < 0 ? undefined : `line ${wrong + 1} of its counter is ${lines[wrong]}`;
}

/** Prints what `setUpScript` left, or what is wrong with it. */
export function checkScript({ hasPort, disk }: Traits): string {
  return [
    "cat /tmp/token",
    "kill -0 $(cat /tmp/program) || echo its program is gone",
    ...(hasPort ? ["pidof httpd > /dev/null || echo its server is gone"] : []),
    ...(disk
      ? [
          "kill -0 $(cat /tmp/writer) || echo its writer is gone",
          'test ! -e /tmp/failed || echo "its writer failed at" $(cat /tmp/failed)',
          `awk '$1 != NR { print "line", NR, "of its log is", $0; exit }' ${log}`,
          `a=$(tail -n 1 ${log}); for n in $(seq 100); do [ "$a" = "$(tail -n 1 ${log})" ] || break; sleep 0.2; done`,
          '[ $n -lt 100 ] || echo "its writer stands still at $a"',
        ]
      : []),
  ].join("\n");
}

/** Two questions that are denied, each by another rule. */
export const askOutside = [addresses.allowed, addresses.denied]
  .map((address) => `wget -O - http://${address}/ 2>&1 | grep -o -m 1 403`)
  .join("; ");

/** Files of a volume as `name content` lines. */
export function listScript(path: string): string {
  return `cd ${path} && for f in *; do case $f in f-*) echo "$f $(cat $f)";; esac; done`;
}

/** The volume of a sandbox, and where it is. */
export function volumeOf({ traits }: KnownSandbox): { volume: string; path: string } | undefined {
  if (traits.isSharing) return { volume: sharedVolume, path: places.shared };
  return traits.disk ? { volume: traits.disk, path: places.disk } : undefined;
}

/** Makes a file appear whole; with `sync` on disk, too. */
export function writeScript(path: string, name: string, content: string, sync: boolean): string {
  const draft = `.${name}`;
  const synced = sync ? `sync ${draft} && ` : "";
  return `cd ${path} && echo '${content}' > ${draft} && ${synced}mv ${draft} ${name}`;
}
