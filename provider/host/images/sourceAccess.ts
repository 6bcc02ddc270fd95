import type { ImageLimits } from "./imageLimits";

/** What reading an image's source may use. */
export interface SourceAccess {
  /** An existing directory for this job alone. */
  tempDir: string;
  /** Where the downloads of this digest go; may hold what an earlier try left, and outlives one that may be taken up. */
  pullDir: string;
  /** Else the user's usual auth files are asked, then access is anonymous. */
  credentials?: { username: string; password: string };
  limits: ImageLimits;
  signal: AbortSignal;
  progress(message: string): void;
}
