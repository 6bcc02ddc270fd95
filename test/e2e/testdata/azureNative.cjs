#!/usr/bin/env node
// Stands in for the plugin of @pulumi/azure-native, which calls Azure: resources come into being by being asked for.
// Copied beside the engine as `pulumi-resource-azure-native`.
const { isDeepStrictEqual } = require("node:util");
const { main } = require("@pulumi/pulumi/provider");

const subscriptionId = process.env.ARM_SUBSCRIPTION_ID;
const typeOf = (urn) => urn.split("::")[2].split("$").at(-1);

/** The input that holds a resource's own name: `virtualNetworkName` of `azure-native:network:VirtualNetwork`. */
function nameOf(urn, inputs) {
  const own = `${typeOf(urn).split(":").at(-1)}Name`.toLowerCase();
  const key = Object.keys(inputs).find((name) => name.toLowerCase() === own);
  return (key && inputs[key]) || urn.split("::").at(-1);
}

/** As Azure spells them, where somebody looks. */
const collections = {
  VirtualNetwork: () => "Microsoft.Network/virtualNetworks",
  Subnet: ({ virtualNetworkName }) => `Microsoft.Network/virtualNetworks/${virtualNetworkName}/subnets`,
};

function idOf(urn, inputs, name) {
  const [, module, type] = typeOf(urn).split(":");
  if (type === "ResourceGroup") return `/subscriptions/${subscriptionId}/resourceGroups/${name}`;
  const scope = inputs.scope ?? `/subscriptions/${subscriptionId}/resourceGroups/${inputs.resourceGroupName}`;
  return `${scope}/providers/${collections[type]?.(inputs) ?? `Microsoft.${module}/${type}`}/${name}`;
}

/** What Azure adds, as far as programs read it. */
function outputsOf(urn, inputs) {
  const name = nameOf(urn, inputs);
  const id = idOf(urn, inputs, name);
  const known = { location: "eastus2", principalId: `principal-of-${name}`, clientId: `client-of-${name}` };
  return { id, outs: { ...known, ...inputs, name } };
}

const answers = {
  "azure-native:authorization:getClientConfig": () => ({
    ...{ clientId: "client", objectId: "11111111-2222-3333-4444-555555555555", subscriptionId, tenantId: "tenant" },
  }),
  "azure-native:containerregistry:getRegistry": ({ registryName, resourceGroupName }) => ({
    id: `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroupName}/providers/Microsoft.ContainerRegistry/registries/${registryName}`,
    ...{ name: registryName, loginServer: `${registryName}.azurecr.io`, location: "eastus2", type: "registry" },
  }),
};

main(
  {
    version: "3.28.0",
    check: async (_urn, _olds, inputs) => ({ inputs }),
    // The old ones are outputs.
    diff: async (_id, urn, olds, news) => {
      const { outs } = outputsOf(urn, news);
      return { changes: Object.keys(news).some((key) => !isDeepStrictEqual(olds[key], outs[key])) };
    },
    create: async (urn, inputs) => outputsOf(urn, inputs),
    read: async (id, _urn, props) => ({ id, props }),
    update: async (_id, urn, _olds, inputs) => ({ outs: outputsOf(urn, inputs).outs }),
    delete: async () => {},
    invoke: async (token, inputs) => {
      if (!answers[token]) throw new Error(`azure-native's stand-in does not know ${token}`);
      return { outputs: answers[token](inputs) };
    },
  },
  process.argv.slice(2),
);
