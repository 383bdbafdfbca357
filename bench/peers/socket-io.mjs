// Socket.IO with one room: an event goes to everybody else, then its ack to the sender. No auth, no history, no limits.
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { Redis } from "ioredis";
import { Server } from "socket.io";

const { REDIS_PORT } = process.env;
const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  serveClient: false,
  ...(REDIS_PORT
    ? { adapter: createAdapter(new Redis(Number(REDIS_PORT)), new Redis(Number(REDIS_PORT))) }
    : {}),
});
io.on("connection", (socket) => {
  void socket.join("project");
  socket.on("file_changed", (payload, acknowledge) => {
    socket.to("project").emit("file_changed", payload);
    acknowledge({ ok: true });
  });
});
http.listen(0, "127.0.0.1", () => console.log(`ready ${http.address().port}`));
process.on("SIGTERM", () => process.exit(0));
