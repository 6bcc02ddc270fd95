import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { SandboxesError } from "../../client/errors";
import { guid } from "../../client/wire/identifiers";
import { type Labels, parseLabelSelector } from "../../client/wire/labels";
import { newerDataPlaneVersion } from "../../client/wire/versions";
import type { GroupScope } from "../store/groupStore";
import type { RouteContext } from "./context";

/** A parameter that is true or false. */
export const flag = z
  .string()
  .regex(/^(true|false)$/i, "write true or false")
  .transform((text) => text.toLowerCase() === "true")
  .optional();

const dataPlaneVersions = ["2026-02-01-preview", newerDataPlaneVersion];
/** Of the control plane. */
export const armVersions = ["2026-02-01-preview", "2026-07-01"];

/** Path of all groups of a resource group, ARM. */
export const armGroups =
  "/subscriptions/:subscriptionId/resourceGroups/:resourceGroup/providers/Microsoft.App/sandboxGroups";
/** Path of one group, data plane. */
export const dataPlaneGroup = "/subscriptions/:subscriptionId/resourceGroups/:resourceGroup/sandboxGroups/:group";

/** What has versions of its own: what Resource Manager itself tells of providers and resource groups, and roles. */
const ofResourceManager =
  /\/providers\/microsoft\.authorization\/|^\/subscriptions\/[^/]+\/(?:providers(?:\/microsoft\.app(?:\/register)?)?|(?:resourceGroups\/[^/]+\/)?resources|resourceGroups(?:\/[^/]+)?)\/?$/i;

/** Which of Azure's two APIs an address belongs to, or the host's own. */
export function planeOf(url: string): "arm" | "dataPlane" | "host" {
  const path = pathOf(url);
  if (!/^\/(?:subscriptions|providers)(?:\/|$)/i.test(path)) return "host";
  return /^\/subscriptions\/[^/]+\/resourceGroups\/[^/]+\/sandboxGroups(?:\/|$)/i.test(path) ? "dataPlane" : "arm";
}

function pathOf(url: string): string {
  return (url.split("?")[0] ?? "").replace(/\/{2,}/g, "/");
}

/** Refuses a missing or unknown `api-version` where one is needed, with the codes that Azure has for it. */
export function checkApiVersion(request: FastifyRequest): void {
  const plane = planeOf(request.url);
  if (plane === "host") return;
  const known = plane === "arm" ? armVersions : dataPlaneVersions;
  const version = query(request)["api-version"];
  if (!version) {
    throw badVersion("MissingApiVersionParameter", `The query parameter api-version is missing`, known);
  }
  const isDate = /^\d{4}-\d{2}-\d{2}(?:-[a-z]+)?$/i.test(version);
  if (known.includes(version.toLowerCase()) || (isDate && ofResourceManager.test(pathOf(request.url)))) return;
  const code = plane === "arm" && isDate ? "NoRegisteredProviderFound" : "InvalidApiVersionParameter";
  throw badVersion(code, `Unknown api-version "${version}"`, known);
}

function badVersion(serviceCode: string, state: string, known: string[]): SandboxesError {
  return new SandboxesError("Invalid", `${state}: use ${known.join(" or ")}`, { field: "api-version", serviceCode });
}

/** True for the newer data plane: POST and 201, pages instead of bare arrays. */
export function isNewer(request: FastifyRequest): boolean {
  return query(request)["api-version"]?.toLowerCase() === newerDataPlaneVersion;
}

/** Query parameters, decoded once, `+` as a space: Azure's SDKs send both forms. */
export function query(request: FastifyRequest): Record<string, string> {
  // None where the address could not be read.
  return (request.query ?? {}) as Record<string, string>;
}

const scopeParams = z.object({ subscriptionId: z.string(), resourceGroup: z.string(), group: z.string() });

export function scopeOf(request: FastifyRequest): GroupScope {
  return scopeParams.parse(request.params);
}

/** Key of the group in the path; throws `GroupNotFound`. */
export function groupOf(context: RouteContext, request: FastifyRequest): string {
  return context.groups.get(scopeOf(request)).key;
}

/** Group and id of the path; an id that is no GUID is a 400 with `errors.id`, as on Azure. */
export function groupAndIdOf(context: RouteContext, request: FastifyRequest): [group: string, id: string] {
  const { id } = z.object({ id: guid }).parse(request.params);
  return [groupOf(context, request), id];
}

export function labelSelector(request: FastifyRequest): Labels | undefined {
  const text = query(request).labels;
  return text === undefined ? undefined : parseLabelSelector(text);
}

/** The address callers use for this host, built from their own request since they may know it by another name. */
export function endpointOf(context: RouteContext, request: FastifyRequest): string {
  return context.unixEndpoint ?? `${request.protocol}://${request.host}`;
}

/** Aborts when the caller goes away before the answer is complete; nobody is left to read the reason but the log. */
export function callerGone(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once("close", () => {
    if (hasLeft(reply)) controller.abort(new SandboxesError("Timeout", "The caller left before the answer"));
  });
  return controller.signal;
}

/** True for what a caller's leaving does to the work for it: no fault of the host. */
export function isCallersLeave(error: unknown, reply: FastifyReply): boolean {
  const { name, code } = error instanceof Error ? (error as NodeJS.ErrnoException) : {};
  return hasLeft(reply) && (name === "AbortError" || code === "ECONNRESET" || code === "ERR_STREAM_PREMATURE_CLOSE");
}

function hasLeft({ raw }: FastifyReply): boolean {
  return raw.destroyed && !raw.writableFinished;
}
