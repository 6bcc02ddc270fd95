import { errorCatalogue } from "../../provider/client/errors.ts";

/** docs/errors.md: the error catalogue as a page. */
export function errorsPage(): string {
  const rows = Object.entries(errorCatalogue)
    .sort(([, a], [, b]) => a.status - b.status)
    .map(([code, entry]) => `| \`${code}\` | ${entry.status} | \`${entry.wire}\` | ${entry.meaning} |`);
  return `<!-- Written by \`make generate\` from provider/client/errors.ts; edit that. -->

# Errors

Every failure that this package raises on purpose is a \`SandboxesError\` with a \`code\` of this table. Compare codes,
never classes or messages: \`isSandboxesError(error, "NotFound")\`. A host answers with the HTTP status and the wire name
of the same row; \`serviceCode\` and \`requestId\` keep what another service said.

| code | HTTP | on the wire | meaning |
| --- | --- | --- | --- |
${rows.join("\n")}
`;
}
