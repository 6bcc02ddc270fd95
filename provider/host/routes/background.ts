import { constants } from "node:os";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { SandboxesError } from "../../client/errors";
import {
  type BackgroundOutputView,
  type BackgroundView,
  backgroundId,
  maxOutputWaitMs,
  ownProgramId,
  startBackgroundContent,
} from "../../client/wire/background";
import { exitCodeOf } from "../services/exec";
import type { BackgroundOutput, BackgroundState } from "../vm/guestBackground";
import type { RouteContext } from "./context";
import { callerGone, dataPlaneGroup, groupAndIdOf } from "./request";

const collection = `${dataPlaneGroup}/sandboxes/:id/backgroundProcesses`;
const one = `${collection}/:processId`;

const processParams = z.looseObject({ processId: backgroundId });
const outputQuery = z.looseObject({
  from: z.coerce.number().int().nonnegative().default(0),
  waitMs: z.coerce.number().int().nonnegative().max(maxOutputWaitMs).default(0),
});
const signalName = z
  .string()
  .refine((name) => name in constants.signals, "must be the name of a signal, as SIGTERM is");
const signalContent = z.looseObject({ signal: signalName });

/** Programs in the background of a sandbox: this host's own, in both api-versions alike. */
export function backgroundRoutes(app: FastifyInstance, context: RouteContext): void {
  const { background } = context;
  const processOf = (request: FastifyRequest) => processParams.parse(request.params).processId;

  app.put(one, async (request) => {
    const { command, activationMode, ...input } = startBackgroundContent.parse(request.body);
    const process = processOf(request);
    if (process === ownProgramId) {
      throw new SandboxesError("Invalid", `"${ownProgramId}" is the name of the sandbox's own program`, {
        field: "processId",
        hint: "choose another",
      });
    }
    const activate = activationMode === "OnDemand";
    const where = groupAndIdOf(context, request);
    return stateView(await background.start(...where, process, { ...input, argv: command, activate }));
  });

  app.get(collection, async (request) => ({
    value: (await background.list(...groupAndIdOf(context, request))).map(stateView),
  }));

  app.get(one, async (request) =>
    stateView(await background.get(...groupAndIdOf(context, request), processOf(request))),
  );

  app.get(`${one}/output`, async (request, reply) => {
    const wanted = { ...outputQuery.parse(request.query), isUse: true, caller: callerGone(reply) };
    return outputView(await background.output(...groupAndIdOf(context, request), processOf(request), wanted));
  });

  app.post(`${one}/signal`, async (request, reply) => {
    const { signal } = signalContent.parse(request.body);
    await background.kill(...groupAndIdOf(context, request), processOf(request), signal);
    return reply.code(204).send();
  });

  app.delete(one, async (request, reply) => {
    await background.remove(...groupAndIdOf(context, request), processOf(request));
    return reply.code(204).send();
  });
}

function stateView({ name, command, startedMs, outputStart, outputEnd, ended }: BackgroundState): BackgroundView {
  return {
    id: name,
    command,
    state: ended ? "Exited" : "Running",
    startedAt: new Date(Math.min(startedMs, latestMs)).toISOString(),
    outputStart,
    outputEnd,
    ...(ended ? { ...ended, exitCode: exitCodeOf(ended) } : {}),
  };
}

/** Of what a Date can say; the guest may say anything. */
const latestMs = 8.64e15;

function outputView({ state, from, next, parts }: BackgroundOutput): BackgroundOutputView {
  return {
    process: stateView(state),
    from,
    next,
    parts: parts.map(({ stream, data }) => ({ stream, data: data.toString("base64") })),
  };
}
