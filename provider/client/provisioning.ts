import type { FullAnswer, HttpClient } from "./http";
import { followOperation, type OperationOptions, operationFailure } from "./operation";
import { poll } from "./poll";

interface Provisioned {
  properties: { provisioningState?: string | null };
}

export interface ProvisioningOptions<View> extends OperationOptions {
  /** For a wait that runs out: `sandbox group "lab"`. */
  what: string;
  /** The resource in the answer; undefined where it is not there. */
  parse(body: unknown): View | undefined;
  read(): Promise<View>;
}

/** Waits for the operation that an answer names, else for the state that the resource tells; answers it as it is then. */
export async function provisioned<View extends Provisioned>(
  http: HttpClient,
  answer: FullAnswer,
  { what, parse, read, ...options }: ProvisioningOptions<View>,
): Promise<View> {
  const followed = await followOperation(http, answer, options);
  let latest = followed ? undefined : parse(answer.body);
  const ask = async () => {
    latest ??= await read();
    const state = latest.properties.provisioningState ?? "Succeeded";
    if (state === "Succeeded") return latest;
    if (state === "Failed" || state === "Canceled") throw operationFailure(options.action, state, undefined, undefined);
    latest = undefined;
    return undefined;
  };
  return poll(ask, { signal: options.signal, timeoutMs: options.timeoutMs, what: `${what} to be provisioned` });
}
