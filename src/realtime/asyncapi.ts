import { z } from "zod";
import { CLOSE, clientMessage, MAX_MESSAGE_BYTES, serverMessages } from "./protocol.js";

type Json = Record<string, unknown>;

/** The AsyncAPI 3.0 document of the JSON dialect, from the schemas that validate its frames. */
export function createAsyncApiDocument(info: { readonly version: string; readonly wsPort: number }): Json {
  const { $schema: _dialect, ...clientSchema } = z.toJSONSchema(clientMessage, {
    io: "input",
    unrepresentable: "any",
  }) as Json;
  const messages: Json = {
    client: { name: "client", title: "What a client may send", payload: clientSchema },
  };
  for (const [name, schema] of Object.entries(serverMessages)) {
    const { $schema: _same, ...payload } = z.toJSONSchema(schema, { unrepresentable: "any" }) as Json;
    messages[name] = { name, title: `Server: ${name}`, payload };
  }
  const refs = (names: readonly string[]) =>
    names.map((name) => ({ $ref: `#/channels/project/messages/${name}` }));
  return {
    asyncapi: "3.0.0",
    info: {
      title: "Atelier events",
      version: info.version,
      description: `JSON text frames of at most ${MAX_MESSAGE_BYTES} bytes. Close codes: ${closeCodes()}.`,
    },
    servers: { default: { host: `localhost:${info.wsPort}`, protocol: "ws" } },
    channels: {
      project: {
        address: "/",
        title: "Events of one project",
        messages,
        bindings: {
          ws: {
            method: "GET",
            query: {
              type: "object",
              required: ["projectId"],
              properties: {
                projectId: { type: "string", format: "uuid" },
                token: {
                  type: "string",
                  description: "Access token; or in Authorization, or as sub-protocol `bearer, <token>`.",
                },
                ticket: { type: "string", description: "A ticket of POST /ws-ticket in place of a token." },
                epoch: { type: "string", description: "With `since`: where the client left off." },
                since: { type: "integer", description: "Seq of the last event or ack the client has." },
              },
            },
          },
        },
      },
    },
    operations: {
      receiveFromClient: {
        action: "receive",
        channel: { $ref: "#/channels/project" },
        messages: refs(["client"]),
      },
      sendToClient: {
        action: "send",
        channel: { $ref: "#/channels/project" },
        messages: refs(Object.keys(serverMessages)),
      },
    },
  };
}

function closeCodes(): string {
  return Object.values(CLOSE)
    .map(({ code, reason, client }) => `${code} ${reason} (${client})`)
    .join("; ");
}
