import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { anyCreateDiskImageContent } from "../../client/wire/diskImages";
import type { CatalogueEntry, ImageConfig } from "../images/imageStore";
import { refuseAzureOnlyOfImage } from "../services/azureOnly";
import type { DiskImageRecord } from "../store/diskImageStore";
import type { RouteContext } from "./context";
import { page } from "./paging";
import { replayed } from "./replay";
import { dataPlaneGroup, groupAndIdOf, groupOf, labelSelector } from "./request";

const collection = `${dataPlaneGroup}/diskimages`;
/** Extension: argv to run in templates of the image before they are frozen. */
const extension = z.looseObject({ warmUp: z.array(z.string()).nullish() });

/** Disk images of a group, and the host's catalogue as Azure's public images. */
export function diskImageRoutes(app: FastifyInstance, context: RouteContext): void {
  const { diskImages } = context;

  const create = (status: number) =>
    replayed(context.replay, async (request) => {
      const group = groupOf(context, request);
      refuseAzureOnlyOfImage(request.body);
      const body = anyCreateDiskImageContent.parse(request.body);
      const { warmUp } = extension.parse(request.body);
      const credentials = body.registryCredentials;
      const record = await diskImages.create(group, {
        base: body.image.base,
        name: body.name,
        labels: body.labels,
        entrypoint: body.image.entrypoint ?? undefined,
        cmd: body.image.cmd ?? undefined,
        warmUp: warmUp ?? undefined,
        credentials: credentials ? { username: credentials.username, password: credentials.token } : undefined,
        localFiles: context.unixEndpoint !== undefined,
      });
      return { status, body: diskImageView(record) };
    });
  app.put(collection, create(200));
  app.post(collection, create(201));
  // Where Azure's newer clients of the older data plane ask for an image that a managed identity may pull.
  app.put(`${collection}/v2`, create(200));

  app.get(collection, async (request) =>
    page(request, diskImages.list(groupOf(context, request), labelSelector(request)).map(diskImageView)),
  );

  app.get(`${collection}/public`, async (request) => {
    groupOf(context, request);
    return page(request, diskImages.listPublic().map(publicImageView));
  });

  app.get(`${collection}/public/:name`, async (request) => {
    groupOf(context, request);
    return publicImageView(diskImages.getPublic(z.object({ name: z.string() }).parse(request.params).name));
  });

  app.get(`${collection}/:id`, async (request) => diskImageView(diskImages.get(...groupAndIdOf(context, request))));

  app.delete(`${collection}/:id`, async (request, reply) => {
    diskImages.delete(...groupAndIdOf(context, request));
    return reply.code(204).send();
  });
}

/** As Azure answers it, with what this host tells besides. */
export function diskImageView(record: DiskImageRecord): object {
  const { id, name, labels, base, entrypoint, cmd, digest, warmUp, state, createdAt, updatedAt, errorCode } = record;
  return {
    id,
    name,
    labels,
    image: { base, entrypoint, cmd, digest, config: record.config && configView(record.config) },
    warmUp,
    status: {
      state,
      message: record.message ?? "",
      errorMessage: state === "Failed" ? record.message : "",
      errorCode,
      createdAt,
      updatedAt,
    },
    sizeInMB: Math.ceil((record.sizeBytes ?? 0) / 2 ** 20),
  };
}

/** Sandboxes of the image start so, unless it or they say otherwise. */
function configView({ workingDir, ...config }: ImageConfig): object {
  return { ...config, workingDirectory: workingDir };
}

function publicImageView({ name, description, source }: CatalogueEntry): object {
  return { name, description, source, status: { state: "Ready" } };
}
