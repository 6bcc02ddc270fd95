/**
 * `/v1` matches that path and all below it; with `*`, which stands for any text, the pattern must match the whole path.
 * A path is looked at as it was sent and as a server may read it (decoded, slashes joined): `all` demands both to
 * match, for rules that let through; else one is enough, for rules that deny.
 */
export function pathMatcher(pattern: string): (path: string, all: boolean) => boolean {
  const test = pattern.includes("*") ? glob(pattern) : below(pattern);
  return (path, all) => {
    const forms = [path, asServersRead(path)];
    return all ? forms.every(test) : forms.some(test);
  };
}

function glob(pattern: string): (path: string) => boolean {
  const parts = pattern.split("*");
  const first = parts[0]!;
  const last = parts.at(-1)!;
  // Not a regular expression: a guest's long path must not make one backtrack.
  return (path) => {
    if (!path.startsWith(first) || path.length < first.length + last.length || !path.endsWith(last)) return false;
    let from = first.length;
    const end = path.length - last.length;
    for (const part of parts.slice(1, -1)) {
      const at = path.indexOf(part, from);
      if (at < 0 || at + part.length > end) return false;
      from = at + part.length;
    }
    return true;
  };
}

function below(pattern: string): (path: string) => boolean {
  const prefix = pattern.endsWith("/") ? pattern : `${pattern}/`;
  return (path) => path === pattern || path.startsWith(prefix);
}

function asServersRead(path: string): string {
  let decoded = path;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    // No valid encoding: servers refuse it, or take it as it is.
  }
  const joined = decoded.replaceAll("\\", "/").replace(/\/{2,}/g, "/");
  const segments: string[] = [];
  for (const segment of joined.split("/").slice(1)) {
    if (segment === "..") segments.pop();
    else if (segment !== ".") segments.push(segment);
  }
  return `/${segments.join("/")}`;
}
