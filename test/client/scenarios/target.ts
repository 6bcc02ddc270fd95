import type { SandboxApi } from "../../../provider/client/sandboxApi";
import type { CreateSandboxContent } from "../../../provider/client/wire/sandboxes";

/** A service and a client of it; the scenarios never ask which service it is. */
export interface ClientTarget {
  api: SandboxApi;
  /** Where its groups may be. */
  location: string;
  /** Also checks what only this service can tell about its client. */
  close: () => Promise<void>;
}

export type OpenTarget = () => Promise<ClientTarget>;

/** An id that nothing has. */
export const noId = "11111111-2222-3333-4444-555555555555";

/** A small sandbox of an image that every service has. */
export const small: CreateSandboxContent = {
  sourcesRef: { diskImage: { name: "ubuntu", isPublic: true } },
  resources: { cpu: "250m", memory: "512Mi" },
};

export function sorted(texts: Iterable<string>): string[] {
  return [...texts].sort();
}
