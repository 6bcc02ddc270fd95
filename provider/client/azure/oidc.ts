import { readFile } from "node:fs/promises";
import { Agent, request } from "undici";
import { z } from "zod";
import { SandboxesError } from "../errors";
import { parseJson } from "../http";
import { registerSecret, scrub } from "../secrets";
import type { AzureSettings } from "./settings";

/** What Entra expects in an assertion of a federated identity unless configured otherwise. */
const defaultAudience = "api://AzureADTokenExchange";
const limitMs = 30_000;
const githubAnswer = z.object({ value: z.string().min(1) });
const devOpsAnswer = z.object({ oidcToken: z.string().min(1) });

/**
 * Gives the assertion by which a federated identity signs in: the token itself, what a file holds at that time, or
 * what GitHub or Azure DevOps issue on request. Called anew for each sign-in, for assertions live for minutes.
 */
export function assertionOf(settings: AzureSettings, ca?: string): () => Promise<string> {
  const { oidcToken, oidcTokenFilePath, oidcRequestUrl, oidcRequestToken } = settings;
  const source = (): Promise<string> => {
    if (oidcToken) return Promise.resolve(oidcToken);
    if (oidcTokenFilePath) return readToken(oidcTokenFilePath);
    if (oidcRequestUrl && oidcRequestToken) return requestToken(settings, oidcRequestUrl, oidcRequestToken, ca);
    throw new SandboxesError("Invalid", "Signing in to Azure with OIDC needs a token, a file, or an address to ask", {
      field: "oidcToken",
      hint: "set oidcToken, oidcTokenFilePath, or oidcRequestUrl and oidcRequestToken; in GitHub grant `id-token: write`",
    });
  };
  return async () => {
    const token = await source();
    registerSecret(token);
    return token;
  };
}

async function readToken(path: string): Promise<string> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw new SandboxesError("Invalid", `Cannot read the OIDC token file "${path}": ${reason}`, {
      field: "oidcTokenFilePath",
      cause,
    });
  }
}

/** Azure DevOps is told by its service connection; all else speaks GitHub's way. */
async function requestToken(settings: AzureSettings, url: string, token: string, ca?: string): Promise<string> {
  const connection = settings.oidcServiceConnectionId;
  const address = new URL(url);
  if (connection) {
    address.searchParams.set("api-version", "7.1");
    address.searchParams.set("serviceConnectionId", connection);
  } else address.searchParams.set("audience", settings.oidcAudience ?? defaultAudience);
  const dispatcher = new Agent({ connect: { ca } });
  try {
    const answer = await request(address, {
      method: connection ? "POST" : "GET",
      headers: { accept: "application/json", authorization: `Bearer ${token}`, "content-type": "application/json" },
      // Sent also as an answer to the redirect that Azure DevOps gives to strangers, which then is no JSON.
      body: connection ? "" : undefined,
      signal: AbortSignal.timeout(limitMs),
      dispatcher,
    });
    const body = parseJson(await answer.body.text());
    const read = connection ? devOpsAnswer.safeParse(body) : githubAnswer.safeParse(body);
    if (read.success) return "value" in read.data ? read.data.value : read.data.oidcToken;
    throw new Error(`it answered ${answer.statusCode} without a token`);
  } catch (error) {
    const reason = scrub(error instanceof Error ? error.message : String(error));
    throw new SandboxesError("Unauthorized", `Cannot get an OIDC token from ${address.origin}: ${reason}`, {
      hint: connection ? "is the service connection a federated one?" : "does the job have `id-token: write`?",
    });
  } finally {
    await dispatcher.close();
  }
}
