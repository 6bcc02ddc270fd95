import type { Duplex } from "node:stream";
import type { GuestAgent, GuestIdentity } from "../guestAgent";
import { background } from "./background";
import { GuestChannel } from "./channel";
import { exec } from "./exec";
import { FieldWriter } from "./fields";
import * as files from "./files";
import { type HandshakeOptions, shakeHands } from "./handshake";
import { listen } from "./listen";
import { mount } from "./mount";
import { connectPort } from "./port";
import { tag } from "./protocol";

/**
 * Speaks with the agent behind `socket` (the host's side of the guest's port). It owns the socket from here on. The
 * guest ends what it ran for an earlier connection before this resolves. Rejects with `GuestFailed` when no agent
 * answers in time, or with the signal's reason.
 */
export async function connectGuestAgent(socket: Duplex, options: HandshakeOptions): Promise<GuestAgent> {
  const received = await shakeHands(socket, options);
  const channel = new GuestChannel(socket, received);
  return {
    closed: channel.closed,
    ping: (options) => channel.ping(options),
    refresh: async (identity, options) => {
      await channel.call("refresh", encodeIdentity(identity), "Refreshing the guest's identity", options);
    },
    exec: (request) => exec(channel, request),
    readFile: async (path, options) => files.readFile(channel, path, options),
    writeFile: (path, source, options) => files.writeFile(channel, path, source, options),
    stat: (path, options) => files.stat(channel, path, options),
    list: async (path, options) => files.list(channel, path, options),
    mkdir: (path, options) => files.mkdir(channel, path, options),
    remove: (path, options) => files.remove(channel, path, options),
    archive: (path) => files.archive(channel, path),
    space: (path, options) => files.space(channel, path, options),
    connectPort: async (port, options) => connectPort(channel, port, options),
    mount: async (request, options) => mount(channel, request, options),
    listen: async (port, onConnection, options) => listen(channel, port, onConnection, options),
    background: background(channel),
    close: () => channel.close(),
  };
}

function encodeIdentity(identity: GuestIdentity): FieldWriter {
  return new FieldWriter()
    .bytes(tag.entropy, identity.entropy)
    .number(tag.clockMs, Math.round(identity.clockMs))
    .bytes(tag.hostname, identity.hostname)
    .bytes(tag.machineId, identity.machineId);
}
