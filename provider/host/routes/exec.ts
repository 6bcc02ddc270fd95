import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { z } from "zod";
import { executeCommandContent, executeShellCommandContent } from "../../client/wire/exec";
import type { ExecInput, ExecOutcome } from "../services/exec";
import type { RouteContext } from "./context";
import { replayed } from "./replay";
import { callerGone, dataPlaneGroup, groupAndIdOf } from "./request";

/** Room for base64 stdin. */
const bodyLimit = 64 * 2 ** 20;

/** Programs that run to their end within one request; `execStream` has the others. */
export function execRoutes(app: FastifyInstance, context: RouteContext): void {
  const run = async (request: FastifyRequest, reply: FastifyReply, input: ExecInput) => {
    const outcome = await context.exec.run(...groupAndIdOf(context, request), input, callerGone(reply));
    return { status: 200, body: resultView(outcome) };
  };

  app.post(
    `${dataPlaneGroup}/sandboxes/:id/executeShellCommand`,
    { bodyLimit },
    replayed(context.replay, (request, reply) => {
      const body = executeShellCommandContent.parse(request.body);
      return run(request, reply, { ...common(body), argv: [body.shell || "/bin/sh", "-c", body.command] });
    }),
  );

  app.post(
    `${dataPlaneGroup}/sandboxes/:id/executeCommand`,
    { bodyLimit },
    replayed(context.replay, (request, reply) => {
      const body = executeCommandContent.parse(request.body);
      return run(request, reply, { ...common(body), argv: [body.command, ...(body.args ?? [])] });
    }),
  );
}

function common(body: z.output<typeof executeCommandContent> | z.output<typeof executeShellCommandContent>) {
  const { environment, workingDirectory, user, timeoutMs, maxOutputBytes } = body;
  const stdin = body.stdin === null || body.stdin === undefined ? undefined : Buffer.from(body.stdin, "base64");
  const activate = body.activationMode === "OnDemand";
  return { environment, workingDirectory, user, timeoutMs, maxOutputBytes, stdin, activate };
}

function resultView(outcome: ExecOutcome): object {
  const { exitCode, stdout, stderr, signal, timedOut, truncated, durationMs } = outcome;
  return { exitCode, stdout, stderr, executionTimeMs: Math.round(durationMs), signal, timedOut, truncated, durationMs };
}
