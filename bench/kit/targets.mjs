import path from "node:path";
import { fileURLToPath } from "node:url";
import { register, startAtelier } from "./atelier.mjs";
import { startServer } from "./process.mjs";
import { connectMany, RawClient } from "./ws-client.mjs";

const PEERS = path.join(path.dirname(path.dirname(fileURLToPath(import.meta.url))), "peers");
const CONNECTS_IN_FLIGHT = 50;

/**
 * A server with one room, as the load sees it: a way to connect, to send an event, and to know an ack.
 *
 * @typedef {object} Target
 * @property {string} name
 * @property {number} pid
 * @property {(index: number, options?: {localAddress?: string}) => Promise<RawClient>} connect resolves when the server
 *   has let the client in
 * @property {(id: number, payload: string) => string} event text of a message that goes to everybody else
 * @property {(buffer: Buffer, start: number, end: number) => boolean} isAck
 * @property {(buffer: Buffer, start: number, end: number) => boolean} isEvent
 * @property {() => Promise<void>} stop
 */

/** Starts one of `peers/` on the server's core. */
export async function startPeer(file, env = {}) {
  const server = await startServer({ args: [path.join(PEERS, file)], env, ready: /ready (\d+)/ });
  return { ...server, port: Number(server.match[1]) };
}

/** @returns {Promise<Target>} */
export async function atelierTarget({ server, people, name = "Atelier", ...options } = {}) {
  const atelier = server ?? (await startAtelier(options));
  const { tokens, projectIds } = people ?? (await register(atelier.api));
  const [projectId] = projectIds;
  return {
    ...atelier,
    name,
    people: { tokens, projectIds },
    connect: (index, { localAddress } = {}) =>
      firstFrame(
        RawClient.connect({
          port: atelier.wsPort,
          path: `/?token=${tokens[index % tokens.length]}&projectId=${projectId}`,
          localAddress,
        }),
        '{"type":"connected"',
      ),
    event: (id, payload) => `{"type":"file_changed","id":"m${id}","payload":${payload}}`,
    isAck: (buffer, start, end) => startsWith(buffer, start, end, '{"type":"ack"'),
    isEvent: (buffer, start, end) => startsWith(buffer, start, end, '{"sessionId":"'),
  };
}

/** Socket.IO over WebSocket alone: one room, the event to everybody else in it, then its ack. @returns {Promise<Target>} */
export async function socketIoTarget({ name = "Socket.IO", env = {} } = {}) {
  const server = await startPeer("socket-io.mjs", env);
  return {
    ...server,
    name,
    connect: (_index, { localAddress } = {}) => connectSocketIo(server.port, localAddress),
    event: (id, payload) => `42${id}["file_changed",${payload}]`,
    isAck: (buffer, start, end) => startsWith(buffer, start, end, "43"),
    isEvent: (buffer, start, end) => startsWith(buffer, start, end, "42["),
  };
}

/** A relay on bare `ws`: `naive` sends a string per receiver, `framed` one frame with one write per receiver. @returns {Promise<Target>} */
export async function bareWsTarget({ mode = "naive", name = `bare ws, ${mode}` } = {}) {
  const server = await startPeer("bare-ws.mjs", { MODE: mode });
  return {
    ...server,
    name,
    connect: (_index, { localAddress } = {}) =>
      firstFrame(RawClient.connect({ port: server.port, path: "/", localAddress }), '{"type":"connected"'),
    event: (id, payload) => `{"type":"file_changed","id":"m${id}","payload":${payload}}`,
    isAck: (buffer, start, end) => startsWith(buffer, start, end, '{"type":"ack"'),
    isEvent: (buffer, start, end) => startsWith(buffer, start, end, '{"type":"file_changed"'),
  };
}

async function firstFrame(connecting, prefix) {
  const client = await connecting;
  await new Promise((resolve, reject) => {
    client.socket.on("close", () => reject(new Error("closed before the first frame")));
    client.onFrame((_opcode, buffer, start, end) => {
      if (startsWith(buffer, start, end, prefix)) resolve();
    });
  });
  client.onFrame(undefined);
  return client;
}

/** Speaks engine.io 4 as far as needed: open, connect to the namespace, answer pings. */
async function connectSocketIo(port, localAddress) {
  const path = "/socket.io/?EIO=4&transport=websocket";
  const client = await RawClient.connect({ port, path, localAddress });
  let listener;
  await new Promise((resolve, reject) => {
    client.socket.on("close", () => reject(new Error("closed before the first frame")));
    client.onFrame((opcode, buffer, start, end) => {
      if (end - start === 1 && buffer[start] === 0x32) client.send("3");
      else if (buffer[start] === 0x30) client.send("40");
      else if (startsWith(buffer, start, end, "40")) resolve();
      else listener?.(opcode, buffer, start, end);
    });
  });
  // The listener stays in front of the load's own, because pings come at any time.
  client.onFrame = (given) => {
    listener = given;
  };
  return client;
}

function startsWith(buffer, start, end, prefix) {
  if (end - start < prefix.length) return false;
  for (let i = 0; i < prefix.length; i += 1) if (buffer[start + i] !== prefix.charCodeAt(i)) return false;
  return true;
}

/** Connects the room's receivers, and its sender last. */
export async function fillRoom(target, receivers) {
  const clients = await connectMany(receivers, CONNECTS_IN_FLIGHT, (index) => target.connect(index));
  return { target, receivers: clients, sender: await target.connect(receivers) };
}
