import { z } from "zod";
import type { ImageConfig } from "./imageStore";
import type { OciConfig } from "./ociDocuments";

/** The configuration of an image that says nothing: a plain root file system. */
export const emptyImageConfig: ImageConfig = {
  env: {},
  entrypoint: [],
  cmd: [],
  workingDir: "/",
  user: "",
  labels: {},
  exposedPorts: [],
};

/** `ImageConfig` as it is kept in a file. */
export const imageConfigSchema = z.object({
  env: z.record(z.string(), z.string()),
  entrypoint: z.array(z.string()),
  cmd: z.array(z.string()),
  workingDir: z.string(),
  user: z.string(),
  stopSignal: z.string().optional(),
  labels: z.record(z.string(), z.string()),
  exposedPorts: z.array(z.number()),
});

/** What a sandbox honours of an OCI image configuration. */
export function imageConfigOf({ config }: OciConfig): ImageConfig {
  return {
    env: environment(config?.Env ?? []),
    entrypoint: config?.Entrypoint ?? [],
    cmd: config?.Cmd ?? [],
    workingDir: config?.WorkingDir || "/",
    user: config?.User ?? "",
    ...(config?.StopSignal && { stopSignal: config.StopSignal }),
    labels: config?.Labels ?? {},
    exposedPorts: tcpPorts(Object.keys(config?.ExposedPorts ?? {})),
  };
}

function environment(assignments: string[]): Record<string, string> {
  const env: Record<string, string> = {};
  for (const assignment of assignments) {
    const equals = assignment.indexOf("=");
    // A name without a value asks for the host's variable of that name, which a sandbox never gets.
    if (equals > 0) env[assignment.slice(0, equals)] = assignment.slice(equals + 1);
  }
  return env;
}

/** `8080/tcp` and `8080`; nothing forwards UDP. */
function tcpPorts(specs: string[]): number[] {
  const ports = specs.flatMap((spec) => {
    const port = Number(/^([0-9]{1,5})(?:\/tcp)?$/.exec(spec)?.[1]);
    return port >= 1 && port <= 65535 ? [port] : [];
  });
  return [...new Set(ports)].sort((a, b) => a - b);
}
