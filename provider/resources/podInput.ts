import { z } from "zod";
import type { PodSource } from "../client/wire/pods";
import { cpuQuantity, sizeQuantity } from "../client/wire/quantities";
import { definedOnly, isBag } from "../pulumi/propertyBag";
import { asDeclared } from "./asDeclared";
import type { MemberRef } from "./ids";
import { imageInput, imageSource } from "./imageWords";

const text = z.string().min(1);
const texts = z.array(z.string());
const absolute = z.string().regex(/^\//, "an absolute path");
const port = z.int().min(1).max(65_535);
const label = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, "1 to 63 small letters, digits and inner dashes");

/** What opens an artifact. */
export const artifactVersionInput = z
  .strictObject({ id: text, identity: text.describe('"system", or a managed identity of the group') })
  .describe("instead of image: a version of an artifact, and the identity that reads it: {id, identity}");

/** Files of a content package, and where they are to be. */
export const contentPackageInput = z.strictObject({
  contentPackageId: text,
  targetPath: absolute.describe("absolute path in the sandbox"),
  action: z.enum(["Download", "Mount"]).describe("Mount: read-only, of zip archives; default Download").optional(),
});

const probe = z.strictObject({
  httpGet: z
    .strictObject({
      port,
      path: text.optional(),
      host: text.optional(),
      scheme: text.optional(),
      httpHeaders: z.array(z.strictObject({ name: text, value: z.string() })).optional(),
    })
    .optional(),
  exec: z.strictObject({ command: texts }).optional(),
  tcpSocket: z.strictObject({ port, host: text.optional() }).optional(),
  initialDelaySeconds: z.int().optional(),
  periodSeconds: z.int().optional(),
  timeoutSeconds: z.int().optional(),
  failureThreshold: z.int().optional(),
  successThreshold: z.int().optional(),
  terminationGracePeriodSeconds: z.int().optional(),
});

const user = { runAsUser: z.int().optional(), runAsGroup: z.int().optional(), runAsNonRoot: z.boolean().optional() };

const container = z.strictObject({
  name: label,
  image: text.describe("a DiskImage or its id, or a catalogue name").optional(),
  artifactVersion: artifactVersionInput.optional(),
  command: texts.optional(),
  args: texts.optional(),
  env: z.record(z.string(), z.string()).meta({ secret: true }).describe("kept secret").optional(),
  resources: z
    .strictObject({ cpu: cpuQuantity.optional(), memory: sizeQuantity.optional(), disk: sizeQuantity.optional() })
    .optional(),
  volumeMounts: z
    .array(z.strictObject({ name: text, mountPath: absolute, readOnly: z.boolean().optional() }))
    .optional(),
  contentPackageDownloads: z.array(contentPackageInput).optional(),
  securityContext: z
    .strictObject({
      ...user,
      privileged: z.boolean().optional(),
      capabilities: z.strictObject({ add: texts.optional(), drop: texts.optional() }).optional(),
      allowPrivilegeEscalation: z.boolean().optional(),
      readOnlyRootFilesystem: z.boolean().optional(),
      seccompProfile: z.strictObject({ type: z.enum(["RuntimeDefault", "Unconfined"]) }).optional(),
    })
    .optional(),
  startupProbe: probe.optional(),
  livenessProbe: probe.optional(),
  readinessProbe: probe.optional(),
});

const blob = { name: text, fileCacheSizeLimit: sizeQuantity, readOnly: z.boolean().optional() };
const volume = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("AzureBlob"), ...blob }),
  z.strictObject({ kind: z.literal("AzureBlobByo"), ...blob }),
  z.strictObject({ kind: z.literal("Local"), name: text, size: sizeQuantity }),
  z.strictObject({ kind: z.literal("DataDisk"), name: text }),
]);

/** Several containers in one sandbox, in Azure's words but for their images. */
export const podInput = z
  .strictObject({
    containers: z
      .array(container)
      .min(1)
      .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, "a name stands here twice"),
    volumes: z.array(volume).optional(),
    contentPackages: z.array(z.strictObject({ contentPackageId: text })).optional(),
    securityContext: z
      .strictObject({
        ...user,
        supplementalGroups: z.array(z.int()).optional(),
        fsGroup: z.int().optional(),
        fsGroupChangePolicy: z.enum(["OnRootMismatch", "Always", "None"]).optional(),
      })
      .optional(),
    restartPolicy: z.enum(["Always", "OnFailure", "Never"]).optional(),
  })
  .describe("instead of image: several containers in one sandbox: {containers: [{name, image, …}], volumes, …}");
export type PodInput = z.output<typeof podInput>;

/** For the wire. */
export function podContent({ containers, ...pod }: PodInput): PodSource {
  const told = containers.map(({ image, artifactVersion, ...rest }) => ({
    ...rest,
    ...(image !== undefined && { diskImage: imageSource(image) }),
    ...(artifactVersion && { artifactVersion: artifactContent(artifactVersion) }),
  }));
  return definedOnly({ ...pod, containers: told });
}

/** For the wire. */
export function artifactContent({ id, identity }: z.output<typeof artifactVersionInput>) {
  return { id, auth: { identity } };
}

/** The pod that a service tells, in the words of the state; environments are never told. */
export function podInputs({ containers, ...pod }: PodSource, ref: MemberRef, had: unknown): unknown {
  const declared = isBag(had) && Array.isArray(had.containers) ? had.containers : [];
  const told = containers.map(({ diskImage, artifactVersion, ...rest }, index) => {
    const was = declared.filter(isBag).find(({ name }) => name === rest.name) ?? declared[index];
    return definedOnly({
      ...rest,
      image: diskImage ? imageInput(diskImage, ref, isBag(was) ? was.image : undefined) : undefined,
      artifactVersion: artifactVersion
        ? { id: artifactVersion.id, identity: artifactVersion.auth.identity }
        : undefined,
    });
  });
  return asDeclared(had, { ...pod, containers: told });
}
