import { z } from "zod";
import { pageOf } from "./paging";

/**
 * `hardware`: virtual machines on the processor's own support. `emulated`: software emulation, no security boundary.
 * `none`: no virtual machine at all (tests). Extension, self-hosted only.
 */
export const isolation = z.enum(["hardware", "emulated", "none"]);
export type Isolation = z.output<typeof isolation>;

const tags = z.record(z.string(), z.string());

const identity = z.looseObject({
  type: z.string(),
  principalId: z.string().nullish(),
  tenantId: z.string().nullish(),
  userAssignedIdentities: z.record(z.string(), z.unknown()).nullish(),
});

const writableProperties = {
  environmentId: z.string().nullish(),
  /** Extension: a host that can only emulate refuses the group (`IsolationUnavailable`). */
  requireHardwareIsolation: z.boolean().optional(),
};

const groupPutShape = {
  location: z.string().min(1),
  tags: tags.nullish(),
  identity: identity.nullish(),
  properties: z.looseObject(writableProperties).nullish(),
};

/** `PUT …/sandboxGroups/{name}`. Azure's clients leave `properties` out when empty. */
export const groupPut = z.looseObject(groupPutShape);
export type GroupPut = z.input<z.ZodObject<typeof groupPutShape>>;

const groupPatchShape = {
  /** Replaces the whole map. */
  tags: tags.nullish(),
  identity: identity.nullish(),
  properties: z.looseObject(writableProperties).nullish(),
};

/** `PATCH …/sandboxGroups/{name}`: merges, keeps what is absent. */
export const groupPatch = z.looseObject(groupPatchShape);
export type GroupPatch = z.input<z.ZodObject<typeof groupPatchShape>>;

const groupViewShape = {
  /** ARM id, with `/providers/Microsoft.App/sandboxGroups/`. */
  id: z.string(),
  name: z.string(),
  type: z.string().optional(),
  location: z.string(),
  tags: tags.nullish().transform((value) => value ?? {}),
  identity: identity.nullish(),
  properties: z
    .looseObject({
      ...writableProperties,
      /** `Succeeded`, `Failed`, `Canceled`, `InProgress`, `Updating`, `Deleting`. */
      provisioningState: z.string().optional(),
      /** Data-plane address. */
      managementEndpoint: z.string().optional(),
      defaultDomain: z.string().nullish(),
      /** Extension: what the host's sandboxes really get. */
      isolation: isolation.optional(),
    })
    .nullish()
    .transform((value) => value ?? {}),
};

export const groupView = z.looseObject(groupViewShape);
export type GroupView = z.output<z.ZodObject<typeof groupViewShape>>;

export const groupPage = pageOf(groupView);

/** What an `Azure-AsyncOperation` address answers. */
export const operationView = z.looseObject({
  id: z.string().nullish(),
  name: z.string().nullish(),
  /** `InProgress`, `Succeeded`, `Failed`, `Canceled`. */
  status: z.string(),
  error: z.looseObject({ code: z.string().nullish(), message: z.string().nullish() }).nullish(),
});
