import type { CheckFailure } from "../pulumi/checkInputs";
import { isBag, type PropertyBag } from "../pulumi/propertyBag";
import type { ProviderConfig } from "../pulumi/providerConfig";
import { containsUnknown } from "../pulumi/unknowns";

/** Azure's limits of tags; see learn.microsoft.com, "Use tags to organize your Azure resources", limitations. */
const maxTags = 50;
const maxTagNameLength = 512;
const ownTags = 2;

/** A group's inputs in the spelling that ARM answers: "East US 2" is `eastus2`. */
export function azureSpelling(inputs: PropertyBag): PropertyBag {
  const { location } = inputs;
  return typeof location === "string" && !containsUnknown(location)
    ? { ...inputs, location: spelled(location) }
    : inputs;
}

/** True for two spellings of one region. */
export function sameRegion(one: string, other: string): boolean {
  return spelled(one) === spelled(other);
}

/** What Azure wants of a group beyond the schema. */
export function azureFailures(inputs: PropertyBag, config: ProviderConfig): CheckFailure[] {
  const { location, resourceGroupName, tags } = inputs;
  const failures: CheckFailure[] = [];
  const need = (property: string, text: string) => failures.push({ property, reason: `target azure needs ${text}` });
  if (!config.azure.subscriptionId) need("", "sandboxes:subscriptionId (or ARM_SUBSCRIPTION_ID)");
  if (!resourceGroupName && !config.resourceGroupName) {
    need("resourceGroupName", "a resource group (here, or as sandboxes:resourceGroupName)");
  }
  if (!location && !config.location) need("location", "a region such as eastus2 (here, or as sandboxes:location)");
  const names = isBag(tags) ? Object.keys(tags) : [];
  const odd = names.find((name) => /[<>%&\\?/]/.test(name) || name.length > maxTagNameLength);
  if (odd !== undefined) {
    failures.push({ property: "tags", reason: `"${odd}" is no tag name for Azure, which allows none of <>%&\\?/` });
  }
  const lower = names.map((name) => name.toLowerCase());
  const twin = names.find((_name, index) => lower.indexOf(lower[index]!) < index);
  if (twin !== undefined) {
    failures.push({ property: "tags", reason: `"${twin}" is there twice for Azure, which does not tell cases apart` });
  }
  if (names.length > maxTags - ownTags) {
    failures.push({ property: "tags", reason: `Azure has ${maxTags} tags, of which ${ownTags} are the provider's` });
  }
  return failures;
}

function spelled(location: string): string {
  return location.toLowerCase().replaceAll(" ", "");
}
