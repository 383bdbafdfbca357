// A relay on bare `ws` without anything else. MODE=naive: `send` of a string per receiver; MODE=framed: one frame for
// everybody and one write per receiver, which is the floor of what a server can do that does not gather.
import { createServer } from "node:http";
import { Sender, WebSocketServer } from "ws";

const framed = process.env.MODE === "framed";
const http = createServer();
const server = new WebSocketServer({ server: http, perMessageDeflate: false, clientTracking: false });
const clients = new Set();
server.on("connection", (socket, request) => {
  const client = { socket, tcp: request.socket };
  clients.add(client);
  socket.on("close", () => clients.delete(client));
  socket.on("message", (data) => {
    const { type, id, payload } = JSON.parse(data.toString("utf8"));
    const text = JSON.stringify({ type, id, payload });
    if (framed) writeToOthers(client, text);
    else for (const other of clients) if (other !== client) other.socket.send(text);
    socket.send(JSON.stringify({ type: "ack", id }));
  });
  socket.send(JSON.stringify({ type: "connected" }));
});

function writeToOthers(client, text) {
  const options = { opcode: 1, fin: true, rsv1: false, mask: false, readOnly: false };
  const frame = Buffer.concat(Sender.frame(Buffer.from(text), options));
  for (const other of clients) if (other !== client) other.tcp.write(frame);
}

http.listen(0, "127.0.0.1", () => console.log(`ready ${http.address().port}`));
process.on("SIGTERM", () => process.exit(0));
