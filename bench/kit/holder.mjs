// Holds sockets for a row, in a process of its own because of the limit of open files: connects its share, says so, and on
// "speak" sends one event into each project and counts whom it reached.
import { sleep } from "./process.mjs";
import { connectMany, RawClient } from "./ws-client.mjs";

const IN_FLIGHT = 100;
const SPEAK_MS = 10_000;

const { port, tokens, projectIds, count, addresses } = JSON.parse(process.argv[2]);
const seen = Array.from({ length: count }, () => false);

async function connect(index) {
  const projectId = projectIds[index % projectIds.length];
  const token = tokens[Math.floor(index / projectIds.length) % tokens.length];
  const client = await RawClient.connect({
    port,
    path: `/?token=${token}&projectId=${projectId}`,
    localAddress: `127.0.0.${addresses[index % addresses.length]}`,
  });
  client.onFrame((_opcode, buffer, start, end) => {
    const text = buffer.toString("latin1", start, end);
    if (text.includes('"hello"') || text.startsWith('{"type":"ack"')) seen[index] = true;
  });
  return client;
}

try {
  const clients = await connectMany(count, IN_FLIGHT, connect);
  process.send({ type: "held" });
  process.once("message", async () => {
    for (let i = 0; i < projectIds.length; i += 1)
      clients[i].send('{"type":"chat_message","id":"hello","payload":{"text":"hello"}}');
    const deadline = performance.now() + SPEAK_MS;
    const reached = () => seen.filter(Boolean).length;
    while (reached() < count && performance.now() < deadline) await sleep(50);
    process.send({ type: "reached", value: reached() });
  });
} catch (error) {
  process.send({ type: "failed", value: String(error) });
}
