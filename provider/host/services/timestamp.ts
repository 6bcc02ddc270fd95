/** Now, as Azure's data plane writes times: `2026-10-05T23:00:23.900+00:00`. */
export function timestamp(): string {
  return new Date().toISOString().replace("Z", "+00:00");
}
