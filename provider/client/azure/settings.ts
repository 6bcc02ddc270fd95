import { registerSecret } from "../secrets";

/** Names as azure-native has them, each with the environment variables that stand in for it, the first one winning. */
const sources = {
  subscriptionId: ["ARM_SUBSCRIPTION_ID", "AZURE_SUBSCRIPTION_ID"],
  tenantId: ["ARM_TENANT_ID", "AZURE_TENANT_ID"],
  clientId: ["ARM_CLIENT_ID", "AZURE_CLIENT_ID"],
  clientSecret: ["ARM_CLIENT_SECRET", "AZURE_CLIENT_SECRET"],
  clientCertificatePath: ["ARM_CLIENT_CERTIFICATE_PATH", "AZURE_CLIENT_CERTIFICATE_PATH"],
  clientCertificatePassword: ["ARM_CLIENT_CERTIFICATE_PASSWORD", "AZURE_CLIENT_CERTIFICATE_PASSWORD"],
  useOidc: ["ARM_USE_OIDC"],
  oidcToken: ["ARM_OIDC_TOKEN"],
  oidcTokenFilePath: ["ARM_OIDC_TOKEN_FILE_PATH", "AZURE_FEDERATED_TOKEN_FILE"],
  /** GitHub's and Azure DevOps' own variables come last. */
  oidcRequestUrl: ["ARM_OIDC_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_URL", "SYSTEM_OIDCREQUESTURI"],
  oidcRequestToken: ["ARM_OIDC_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "SYSTEM_ACCESSTOKEN"],
  oidcAudience: ["ARM_OIDC_AUDIENCE"],
  /** Azure DevOps only: GUID of the service connection. */
  oidcServiceConnectionId: [
    "ARM_ADO_PIPELINE_SERVICE_CONNECTION_ID",
    "ARM_OIDC_AZURE_SERVICE_CONNECTION_ID",
    "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID",
  ],
  useMsi: ["ARM_USE_MSI"],
  useDefaultAzureCredential: ["ARM_USE_DEFAULT_AZURE_CREDENTIAL"],
  /** `public`, `usgovernment` or `china`. */
  environment: ["ARM_ENVIRONMENT", "AZURE_ENVIRONMENT"],
  disableInstanceDiscovery: ["ARM_DISABLE_INSTANCE_DISCOVERY"],
  /** These three together name a cloud that is none of the known ones. */
  activeDirectoryAuthorityHost: ["ARM_ACTIVE_DIRECTORY_AUTHORITY_HOST"],
  resourceManagerAudience: ["ARM_RESOURCE_MANAGER_AUDIENCE"],
  resourceManagerEndpoint: ["ARM_RESOURCE_MANAGER_ENDPOINT"],
} as const satisfies Record<string, readonly string[]>;

const secretNames = ["clientSecret", "clientCertificatePassword", "oidcToken", "oidcRequestToken"] as const;

export type AzureSetting = keyof typeof sources;

/** Who asks Azure, and which Azure; texts as they were configured. Holds secrets: never to be logged. */
export type AzureSettings = Partial<Record<AzureSetting, string>>;

export const azureSettingNames = Object.keys(sources) as AzureSetting[];

/** The environment variables that stand in for a setting, for messages. */
export function variablesOf(name: AzureSetting): readonly string[] {
  return sources[name];
}

/** Reads each setting from the configuration, else from the environment; its secrets are struck out of all messages. */
export function readAzureSettings(
  get: (name: AzureSetting) => string | undefined,
  environment: NodeJS.ProcessEnv = process.env,
): AzureSettings {
  const settings: AzureSettings = {};
  for (const name of azureSettingNames) {
    const value = get(name) || sources[name].map((variable) => environment[variable]).find((text) => text);
    if (value) settings[name] = value;
  }
  for (const name of secretNames) registerSecret(settings[name]);
  return settings;
}
