import { it } from "@jest/globals";
import { startTestNode } from "../kit/app.js";

it("x", async () => {
  const logs: string[] = [];
  const logger = {
    debug: (m: string, f: any) => logs.push("debug " + m + " " + JSON.stringify(f) + f?.error?.stack),
    info() {},
    warn: (m: string, f: any) => logs.push(m),
    error: (m: string, f: any) => logs.push("error " + m + f?.error?.stack),
    child() {
      return this;
    },
  } as any;
  const node = await startTestNode({ logger });
  const ada = await node.api.person();
  const p = await node.api.project(ada);
  const c = await node.socket(ada.token, p);
  c.socket.on("error", (e) => console.log("client error", e));
  for (const peer of node.app.features.realtime!.hub.peers()) {
    const t = peer.transport as any;
    const sock = t.socket;
    const od = sock.destroy.bind(sock); sock.destroy = (...a: any[]) => { console.log("destroy", a, new Error().stack); return od(...a); };
    sock.on("error", (e: any) => console.log("server sock error", e));
    t.websocket.on("close", (c: any, r: any) => console.log("server close", c, String(r), peer.closeCode));
  }
  for (let i = 0; i < 2000; i++) c.socket.ping("x".repeat(100));
  console.log(await c.closed(), c.messages.length, JSON.stringify(c.messages.slice(-2)));
  console.log(logs.filter((l) => /socket error|error/.test(l)).join("\n"));
  await node.stop();
}, 30000);
