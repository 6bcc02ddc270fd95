import type { BackgroundOutput, BackgroundState, GuestBackground } from "../guestBackground";
import type { GuestChannel } from "./channel";
import { decodeExit, encodeProgram, signalNumber } from "./exec";
import { Fields, FieldWriter, malformed } from "./fields";
import { tag } from "./protocol";

/** Names come from us; what the guest says is one must look like one. */
const namePattern = /^[A-Za-z0-9-]{1,64}$/;
const maxStarted = 64;

/** The calls about programs in the background; see `GuestBackground`. */
export function background(channel: GuestChannel): GuestBackground {
  const named = (name: string) => new FieldWriter().bytes(tag.name, name);
  return {
    start: async (name, request, options) => {
      const fields = named(name).append(encodeProgram(request));
      return decodeState(await channel.call("start", fields, `Starting "${request.argv[0]}"`, options));
    },
    list: async (options) => {
      const fields = await channel.call("listStarted", new FieldWriter(), "Listing programs", options);
      const entries = fields.all(tag.entry);
      if (entries.length > maxStarted) throw malformed("more programs than there can be");
      return entries.map((entry) => decodeState(new Fields(entry)));
    },
    read: async (name, from, { wait, ...options } = {}) => {
      const fields = named(name).number(tag.offset, from).flag(tag.wait, wait);
      const action = `Reading the output of "${name}"`;
      const output = decodeOutput(await channel.call("readStarted", fields, action, options), from);
      if (wait && output.next === from && !output.state.ended) throw malformed("news that are none");
      return output;
    },
    kill: async (name, signal, options) => {
      const fields = named(name).number(tag.signal, signalNumber(signal));
      await channel.call("signalStarted", fields, `Signalling "${name}"`, options);
    },
    remove: async (name, options) => {
      await channel.call("removeStarted", named(name), `Removing "${name}"`, options);
    },
  };
}

function decodeState(fields: Fields): BackgroundState {
  const name = fields.get(tag.name)?.toString("latin1") ?? "";
  if (!namePattern.test(name)) throw malformed("a program has no name");
  const outputStart = fields.requiredNumber(tag.offset);
  const outputEnd = fields.requiredNumber(tag.size);
  if (outputStart > outputEnd) throw malformed("output ends before it begins");
  const hasEnded = fields.get(tag.exitCode) !== undefined || fields.get(tag.signal) !== undefined;
  return {
    name,
    command: fields.all(tag.argument).map((argument) => argument.toString()),
    startedMs: fields.requiredNumber(tag.startedMs),
    outputStart,
    outputEnd,
    ...(hasEnded ? { ended: decodeExit(fields) } : {}),
  };
}

function decodeOutput(fields: Fields, asked: number): BackgroundOutput {
  const state = decodeState(fields);
  const parts = fields.pieces([tag.output, tag.errorOutput]).map(([kind, data]) => ({
    stream: kind === tag.output ? ("stdout" as const) : ("stderr" as const),
    data,
  }));
  const from = fields.requiredNumber(tag.length);
  const next = from + parts.reduce((sum, { data }) => sum + data.length, 0);
  // Whoever reads on from `next` must come to the end.
  if (from < asked || next > state.outputEnd) throw malformed("output is not where it says");
  if (next === asked && state.outputEnd > asked) throw malformed("there is output, and it tells none");
  return { state, from, parts, next };
}
