import { z } from "zod";
import { pageOf } from "./paging";

/** `PUT …/sandboxGroups/{group}/vnetConnections/{name}` on ARM. Azure's Python SDK adds the group's location. */
export const putVnetConnectionContent = z.looseObject({
  location: z.string().nullish(),
  properties: z.looseObject({ subnetId: z.string().min(1) }),
});
export interface PutVnetConnectionContent {
  location?: string | null;
  /** ARM id of a subnet that is delegated to `Microsoft.App/environments`; cannot be changed afterwards. */
  properties: { subnetId: string };
}

const viewShape = {
  id: z.string(),
  name: z.string(),
  type: z.string().nullish(),
  properties: z.looseObject({ subnetId: z.string().nullish(), provisioningState: z.string().nullish() }),
};

export const vnetConnectionView = z.looseObject(viewShape);
export type VnetConnectionView = z.output<z.ZodObject<typeof viewShape>>;
export const vnetConnectionPage = pageOf(vnetConnectionView);
