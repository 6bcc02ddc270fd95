import type { Dialect } from "./dialect";
import type { SandboxesError } from "./errors";
import type { Attempt, RetryPolicy } from "./retry";

/** One address of a service and the habits of what answers there: a host has one plane, Azure has two and more. */
export interface Plane {
  /** `unix:/path` or `https://host:port`; may have to be asked for, and is remembered by whoever gives it. */
  endpoint(signal?: AbortSignal): Promise<string>;
  /** Bearer token for the next request; undefined where none is needed. */
  token(signal?: AbortSignal): Promise<string | undefined>;
  /** After a 401: true when another token can be had, so that asking again makes sense. */
  renewToken?(): boolean;
  dialect: Dialect;
  /** True where what we added to Azure's wire is understood: time limits, input, signals of programs. */
  hasExtensions: boolean;
  retry: RetryPolicy;
  /** What an answer of status 400 and above means, and whether the request may be sent again. */
  judge(answer: Answer, action: string): Judgement;
  /** An answer below 400 came. */
  succeeded?(): void;
}

/** An error and whether it lets the request be sent again; see `Attempt`. */
export type Judgement = Extract<Attempt<never>, { error: unknown }> & { error: SandboxesError };

/** An answer of status 400 and above. */
export interface Answer {
  status: number;
  /** Parsed JSON, or text. */
  body: unknown;
  /** Ours. */
  requestId: string;
  /** The service's own name for the request, which its support asks for. */
  serviceRequestId?: string;
}

/** The planes of one service. */
export interface Planes {
  /** Groups. */
  control: Plane;
  /** What is in the group of that name. */
  data(group: string): Plane;
}

/** Where a group's data plane is; asked of the control plane, once. */
export type EndpointOf = (group: string, signal?: AbortSignal) => Promise<string>;
