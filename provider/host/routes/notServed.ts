import type { FastifyInstance } from "fastify";
import { SandboxesError } from "../../client/errors";
import { dataPlaneGroup } from "./request";

/** What Azure has and this host has not yet: 501, which no SDK repeats, and not a 404 that would read as "gone". */
const notServed = [
  ...["logstream", "processes", "containers"].map((name) => `${dataPlaneGroup}/sandboxes/:id/${name}`),
];

/** Answers for addresses that exist on Azure but not here. */
export function notServedRoutes(app: FastifyInstance): void {
  const refuse = async () => {
    throw new SandboxesError("Unsupported", "This host does not have this part of Azure's API yet");
  };
  for (const path of notServed) {
    app.all(path, refuse);
    app.all(`${path}/*`, refuse);
  }
}
