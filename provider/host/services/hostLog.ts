/** Where services write; fastify's logger fits. Never give it bodies, environments, tokens or file contents. */
export interface HostLog {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}
