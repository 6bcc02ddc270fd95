import { readFile } from "node:fs/promises";
import { SandboxesError } from "../errors";
import { cloudOf } from "./clouds";
import { assertionOf } from "./oidc";
import type { AzureSetting, AzureSettings } from "./settings";
import type { Credential } from "./tokens";

/**
 * The one way to sign in that the settings name, tried in azure-native's order: default chain, certificate, secret,
 * OIDC, managed identity, Azure CLI. A way that is named and does not work is an error, never a reason to try the next.
 * `ca` is trusted for the token endpoint of a cloud of one's own. Loads `@azure/identity`.
 */
export async function openCredential(settings: AzureSettings, ca?: string): Promise<Credential> {
  // Half a second of loading, which only those pay who use Azure.
  const identity = await import("@azure/identity");
  const options = {
    authorityHost: cloudOf(settings).authorityHost,
    disableInstanceDiscovery: isTrue(settings.disableInstanceDiscovery),
    // Not in the types of this level, but handed down to the library's HTTP pipeline.
    ...(ca && { tlsOptions: { ca } }),
  };
  const { clientId = "", tenantId = "", clientSecret, clientCertificatePath, subscriptionId } = settings;
  const open = (): Credential => {
    if (isTrue(settings.useDefaultAzureCredential)) return new identity.DefaultAzureCredential(options);
    if (clientCertificatePath) {
      requireAll(settings, ["tenantId", "clientId"], "a certificate");
      const certificatePassword = settings.clientCertificatePassword;
      const certificate = { certificatePath: clientCertificatePath, certificatePassword };
      return new identity.ClientCertificateCredential(tenantId, clientId, certificate, options);
    }
    if (clientSecret) {
      requireAll(settings, ["tenantId", "clientId"], "a client secret");
      return new identity.ClientSecretCredential(tenantId, clientId, clientSecret, options);
    }
    if (isTrue(settings.useOidc)) {
      requireAll(settings, ["tenantId", "clientId"], "OIDC");
      const assert = remembering(assertionOf(settings, ca));
      return assert.ownFailures(new identity.ClientAssertionCredential(tenantId, clientId, assert.call, options));
    }
    if (isTrue(settings.useMsi)) {
      return clientId ? new identity.ManagedIdentityCredential({ clientId }) : new identity.ManagedIdentityCredential();
    }
    return new identity.AzureCliCredential({
      ...(settings.tenantId && { tenantId }),
      ...(subscriptionId && { subscription: subscriptionId }),
    });
  };
  if (clientCertificatePath && !isTrue(settings.useDefaultAzureCredential)) await requirePem(clientCertificatePath);
  return open();
}

/** The library wraps what an assertion throws, and loses our words with it: so they are kept for whoever signs in. */
function remembering(assertion: () => Promise<string>) {
  let failure: unknown;
  const call = () => {
    failure = undefined;
    return assertion().catch((error) => {
      failure = error;
      throw error;
    });
  };
  const ownFailures = (credential: Credential): Credential => ({
    getToken: (...parameters) =>
      credential.getToken(...parameters).catch((error) => {
        throw failure ?? error;
      }),
  });
  return { call, ownFailures };
}

function requireAll(settings: AzureSettings, names: readonly AzureSetting[], way: string): void {
  for (const name of names) {
    if (settings[name]) continue;
    throw new SandboxesError("Invalid", `Signing in to Azure with ${way} needs the setting ${name}`, {
      field: name,
      hint: `run \`pulumi config set sandboxes:${name} …\``,
    });
  }
}

async function requirePem(path: string): Promise<void> {
  const text = await readFile(path, "latin1").catch((cause: NodeJS.ErrnoException) => {
    const text = `Cannot read the certificate "${path}": ${cause.code ?? cause.message}`;
    throw new SandboxesError("Invalid", text, { field: "clientCertificatePath", cause });
  });
  if (text.includes("-----BEGIN")) return;
  throw new SandboxesError("Invalid", `The certificate "${path}" is not in PEM form`, {
    field: "clientCertificatePath",
    hint: `openssl pkcs12 -in ${path} -out certificate.pem -noenc`,
  });
}

function isTrue(text: string | undefined): boolean {
  return text?.toLowerCase() === "true" || text === "1";
}
