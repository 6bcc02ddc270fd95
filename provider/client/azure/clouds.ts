import { SandboxesError } from "../errors";
import type { AzureSettings } from "./settings";

/** The addresses of one Azure. */
export interface Cloud {
  name: string;
  /** Azure Resource Manager. */
  endpoint: string;
  /** Who issues tokens. */
  authorityHost: string;
  controlScope: string;
  /** Domain of the data planes, where it is known. */
  dataPlaneDomain?: string;
}

/** The scope that Azure's own clients ask for; https://management.azuredevcompute.io/.default is as good. */
export const dataScope = "https://dynamicsessions.io/.default";

const publicCloud: Cloud = {
  name: "public",
  endpoint: "https://management.azure.com",
  authorityHost: "https://login.microsoftonline.com",
  controlScope: "https://management.azure.com/.default",
  dataPlaneDomain: "azuredevcompute.io",
};

const usGovernment: Cloud = {
  name: "usgovernment",
  endpoint: "https://management.usgovcloudapi.net",
  authorityHost: "https://login.microsoftonline.us",
  controlScope: "https://management.usgovcloudapi.net/.default",
};

const china: Cloud = {
  name: "china",
  endpoint: "https://management.chinacloudapi.cn",
  authorityHost: "https://login.chinacloudapi.cn",
  controlScope: "https://management.chinacloudapi.cn/.default",
};

/** Names as azure-native and the Azure CLI have them, in lower case. */
const clouds: Record<string, Cloud> = {
  public: publicCloud,
  azurecloud: publicCloud,
  azurepubliccloud: publicCloud,
  usgovernment: usGovernment,
  usgov: usGovernment,
  azureusgovernment: usGovernment,
  azureusgovernmentcloud: usGovernment,
  china,
  azurechinacloud: china,
};

/** The Azure that the settings name: an own one by its three addresses, a known one, else the public one. */
export function cloudOf(settings: AzureSettings): Cloud {
  const {
    environment = "public",
    resourceManagerEndpoint,
    resourceManagerAudience,
    activeDirectoryAuthorityHost,
  } = settings;
  if (resourceManagerEndpoint && resourceManagerAudience && activeDirectoryAuthorityHost) {
    return {
      name: "own",
      endpoint: httpsAddress("resourceManagerEndpoint", resourceManagerEndpoint),
      authorityHost: httpsAddress("activeDirectoryAuthorityHost", activeDirectoryAuthorityHost),
      controlScope: `${resourceManagerAudience.replace(/\/+$/, "")}/.default`,
    };
  }
  if (resourceManagerEndpoint) {
    throw new SandboxesError("Invalid", "A cloud of its own is named by three settings, of which some are missing", {
      field: "resourceManagerEndpoint",
      hint: "set activeDirectoryAuthorityHost, resourceManagerAudience and resourceManagerEndpoint, or none of them",
    });
  }
  const cloud = clouds[environment.toLowerCase()];
  if (cloud) return cloud;
  throw new SandboxesError("Invalid", `"${environment}" is no environment of Azure`, {
    field: "environment",
    hint: "write public, usgovernment or china",
  });
}

function httpsAddress(field: string, text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "https:" && !url.username && !url.search) return text.replace(/\/+$/, "");
  throw new SandboxesError("Invalid", `The setting ${field} is no https address`, { field });
}
