/** Data-plane and ARM version that this client sends. */
export const defaultApiVersion = "2026-02-01-preview";
/** The newer data plane: POST 201 instead of PUT 200, `{value, nextLink}` instead of bare arrays. */
export const newerDataPlaneVersion = "2026-09-01-preview";
/** Control-plane version that knows a group's environment, and no identity. */
export const environmentVersion = "2026-07-01";
