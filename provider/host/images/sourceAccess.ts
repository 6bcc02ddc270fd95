import type { ImageLimits } from "./imageLimits";

/** What reading an image's source may use. */
export interface SourceAccess {
  /** An existing directory for this job alone: credentials and downloads are put there. */
  tempDir: string;
  /** Else the user's usual auth files are asked, then access is anonymous. */
  credentials?: { username: string; password: string };
  limits: ImageLimits;
  signal: AbortSignal;
  progress(message: string): void;
}
