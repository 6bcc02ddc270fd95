import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { fileMode, mkdirContent } from "../../client/wire/files";
import type { GuestFileInfo } from "../vm/guestAgent";
import type { RouteContext } from "./context";
import { sourceOf, withRawBodies } from "./rawBody";
import { callerGone, dataPlaneGroup, flag, groupAndIdOf, query } from "./request";

const collection = `${dataPlaneGroup}/sandboxes/:id/files`;
const pathQuery = z.looseObject({ path: z.string().min(1) });
const writeQuery = pathQuery.extend({ createDirs: flag, mode: fileMode.optional() });
const mkdirBody = mkdirContent.extend({ mode: fileMode.nullish() });
const removeQuery = pathQuery.extend({ recursive: flag });

/** Files inside a sandbox; bodies are raw bytes, streamed. */
export function fileRoutes(app: FastifyInstance, context: RouteContext): void {
  const { files } = context;

  app.get(collection, async (request, reply) => {
    const content = await files.read(...groupAndIdOf(context, request), ...pathsOf(request));
    return reply.type("application/octet-stream").send(content);
  });

  app.get(`${collection}/stat`, async (request) =>
    entryView(await files.stat(...groupAndIdOf(context, request), ...pathsOf(request))),
  );

  app.get(`${collection}/list`, async (request) => {
    const [path, otherPath] = pathsOf(request);
    const entries = await files.list(...groupAndIdOf(context, request), path, otherPath);
    return { path, entries: entries.map(entryView) };
  });

  app.post(`${collection}/mkdir`, async (request, reply) => {
    const { path, mode, createParents } = mkdirBody.parse(request.body);
    const options = { mode: mode ?? undefined, createParents: createParents ?? true };
    await files.mkdir(...groupAndIdOf(context, request), path, options);
    return reply.code(200).send({ success: true });
  });

  app.delete(collection, async (request, reply) => {
    const { path, recursive } = removeQuery.parse(request.query);
    await files.remove(...groupAndIdOf(context, request), path, { recursive }, callerGone(reply));
    return { success: true };
  });

  withRawBodies(app, (raw) => {
    const write = async (request: FastifyRequest, reply: FastifyReply) => {
      const { path, mode, createDirs } = writeQuery.parse(request.query);
      const options = { mode, createDirs: createDirs ?? true };
      const bytesWritten = await files.write(
        ...groupAndIdOf(context, request),
        path,
        sourceOf(request),
        options,
        callerGone(reply),
      );
      return { success: true, bytesWritten };
    };
    raw.put(collection, write);
    raw.post(collection, async (request, reply) => reply.code(201).send(await write(request, reply)));
  });
}

/** The path, and how it reads when the caller meant a plus sign: neither `a+b` nor `a b` can be told from the other. */
function pathsOf(request: FastifyRequest): [path: string, otherPath: string | undefined] {
  const { path } = pathQuery.parse(request.query);
  const raw = request.url.slice(request.url.indexOf("?") + 1).replaceAll("+", "%2B");
  return [path, query(request).path?.includes(" ") ? (new URLSearchParams(raw).get("path") ?? undefined) : undefined];
}

/** Each fact under both names: Azure's API description has one, its Python SDK reads the other. */
function entryView(info: GuestFileInfo): object {
  const modified = new Date(info.modifiedMs).toISOString();
  const isDirectory = info.type === "directory";
  return {
    name: info.name,
    path: info.path,
    size: info.sizeBytes,
    mode: info.mode.toString(8).padStart(4, "0"),
    isDir: isDirectory,
    isDirectory,
    isSymlink: info.type === "symlink",
    symlinkTarget: info.symlinkTarget,
    modifiedTime: modified,
    modifiedAt: modified,
    uid: info.uid,
    gid: info.gid,
  };
}
