import { older, type WireRequest } from "./wire";

const file = ["path", "createDirs", "mode", "recursive", "containerName"];

/** Notes the words of a query that the service does not know, and bodies where it takes none. */
export function checkRequest(request: WireRequest, violations: string[]): void {
  const { method, path, plane, query, body } = request;
  const known = new Set(["api-version", ...wordsOf(request)]);
  const odd = [...query.keys()].filter((key) => !known.has(key));
  if (odd.length > 0) violations.push(`${method} ${path}: the query has ${odd.join(", ")}`);
  if (plane === "data" && (method === "GET" || method === "DELETE") && body.length > 0) {
    violations.push(`${method} ${path}: has a body`);
  }
}

function wordsOf({ plane, path, apiVersion, method }: WireRequest): string[] {
  if (plane === "control") return ["$skipToken"];
  if (/\/files(\/|$)/.test(path)) return file;
  if (/\/execute(Shell)?Command$|\/volumes\/add$/.test(path)) return ["containerName"];
  if (/\/exec\/stream$/.test(path)) return ["containerName", "user"];
  if (method !== "GET") return [];
  return apiVersion === older ? ["labels", "Page", "PageSize"] : ["labels", "pageSize", "skipToken"];
}
