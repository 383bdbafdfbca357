import { randomBytes } from "node:crypto";
import { AtelierError, type Client, type ClientOptions, createClient, memoryStore } from "atelier-client";
import { WebSocket } from "ws";
import type { TestNode } from "./app.js";

/** Makes clients of one node and closes them all. */
export interface SdkKit {
  client(options?: ClientOptions): Client;
  /** A client with an account of its own. */
  signUp(name?: string, options?: ClientOptions): Promise<Client>;
  close(): void;
}

/** The password of every account made here. */
export const PASSWORD = "correct horse battery";

/** Clients of `node`, sockets by the package `ws`. */
export function createSdkKit(node: Pick<TestNode, "httpUrl" | "wsUrl">): SdkKit {
  const clients: Client[] = [];
  const kit: SdkKit = {
    client(options = {}) {
      const client = createClient({
        url: node.httpUrl,
        wsUrl: node.wsUrl,
        WebSocket,
        storage: memoryStore(),
        ...options,
      });
      clients.push(client);
      return client;
    },
    async signUp(name = "Ada Lovelace", options = {}) {
      const client = kit.client(options);
      const email = `sdk${randomBytes(6).toString("hex")}@example.com`;
      await client.auth.register({ email, password: PASSWORD, name });
      return client;
    },
    close() {
      for (const client of clients) client.close();
    },
  };
  return kit;
}

/** The error a call is refused with. */
export async function refused(work: Promise<unknown>): Promise<AtelierError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof AtelierError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

/** A promise and what settles it. */
export function deferred<T = void>(): { readonly promise: Promise<T>; resolve(value: T): void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
