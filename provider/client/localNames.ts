/** The subscription of everything that is on a self-hosted endpoint, by which an id tells that it is. */
export const localSubscriptionId = "00000000-0000-0000-0000-000000000000";
/** The resource group of a self-hosted endpoint where none is named. */
export const localResourceGroupName = "local";
