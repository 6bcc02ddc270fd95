const names = [
  ...["api-version", "labels", "page", "pageSize", "skipToken", "user", "containerName"],
  ...["path", "createDirs", "mode", "recursive", "overwrite", "follow", "tailLines", "logFormat", "$filter", "$top"],
];
const spellings = new Map(names.map((name) => [name.toLowerCase(), name]));

/**
 * Reads a query string; each pair is split at its first `=`, so `labels=team=red` needs no escapes. Names compare without
 * regard to case, as on Azure, and come as the routes read them.
 */
export function parseQuery(text: string): Record<string, string> {
  const pairs = [...new URLSearchParams(text)];
  return Object.fromEntries(pairs.map(([name, value]) => [spellings.get(name.toLowerCase()) ?? name, value]));
}
