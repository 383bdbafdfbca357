import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Answer, Person, RequestOptions } from "../../kit/api.js";
import { type Editor, openEditor, until } from "../../kit/editors.js";
import { connectSocket, type SocketClient, UpgradeRefused } from "../../kit/socket-client.js";
import { openRawSocket } from "../../kit/yjs-socket.js";
import type { Place } from "./site.js";

/** Somebody with a project, files, an open socket and an open editor, made while everything works. */
export interface Scene {
  readonly place: Place;
  readonly ada: Person;
  readonly projectId: string;
  readonly workspaceId: string;
  readonly socket: SocketClient;
  readonly editor: Editor;
  /** Who signs in: an account keeps a bounded number of sessions, and Ada's is to stay. */
  readonly visitor: Person;
  /** Refresh tokens that were not used yet. */
  readonly refreshTokens: string[];
}

/** One thing a client can want, and what came of it in a word or two. */
export interface Probe {
  readonly name: string;
  ask(scene: Scene): Promise<string>;
}

const PNG = Buffer.from("89504e470d0a1a0a0000000d49484452", "hex");
/** How long an edit is waited for. */
const KEPT_MS = 3_000;
const TOKENS = 2;

/** Makes the scene. @param files Where the files are written, when `place` cannot. */
export async function openScene(place: Place, files: Place): Promise<Scene> {
  const ada = await place.api.person("Ada Lovelace");
  const projectId = await place.api.project(ada);
  const made = await place.api.post(`/projects/${projectId}/workspaces`, { name: "Engine" }, ada.token);
  const workspaceId = made.body.workspace.id as string;
  const socket = await connectSocket(
    `${place.wsUrl}/?${new URLSearchParams({ token: ada.token, projectId }).toString()}`,
  );
  const target = { wsUrl: place.wsUrl, token: ada.token, workspaceId, path: "open.md", retryMs: 300 };
  const editor = openEditor("hocuspocus 4", target);
  await editor.synced();
  await until(() => !editor.provider.hasUnsyncedChanges, "in sync");
  const visitor = await place.api.person();
  const others = await Promise.all(Array.from({ length: TOKENS }, () => place.api.person()));
  const refreshTokens = others.map(({ refreshToken }) => refreshToken);
  const scene = { place, ada, projectId, workspaceId, socket, editor, visitor, refreshTokens };
  const text = await put({ ...scene, place: files }, "text.md", "text", "text/plain");
  const image = await put({ ...scene, place: files }, "image.png", PNG, "image/png");
  if (text.status !== 201 || image.status !== 201)
    throw new Error(`the files were answered ${text.status} and ${image.status}`);
  return scene;
}

/** Ends its connections. */
export function closeScene({ socket, editor }: Scene): void {
  socket.terminate();
  editor.close();
}

function put({ place, ada, workspaceId }: Scene, path: string, raw: string | Uint8Array, type: string) {
  return place.api.request("PUT", `/workspaces/${workspaceId}/files/${path}`, {
    token: ada.token,
    raw,
    headers: { "content-type": type },
  });
}

/** The status, with the code of a problem; every 503 has to say when to come back. */
function word({ status, body, headers }: Answer): string {
  if (status < 300) return String(status);
  const again = status === 503 && headers.get("retry-after") === null ? " without Retry-After" : "";
  return `${status} ${String((body as { code?: string } | undefined)?.code ?? "?")}${again}`;
}

function http(
  name: string,
  method: string,
  path: (scene: Scene) => string,
  more: (scene: Scene) => RequestOptions = () => ({}),
): Probe {
  return {
    name,
    ask: async (scene) =>
      word(await scene.place.api.request(method, path(scene), { token: scene.ada.token, ...more(scene) })),
  };
}

/** What is asked of every state, in the order of the table. */
export const PROBES: readonly Probe[] = [
  {
    name: "register, with its mail",
    async ask({ place }) {
      const unique = randomBytes(6).toString("hex");
      const email = `p${unique}@example.com`;
      return word(
        await place.api.post("/auth/register", {
          email,
          password: `correct horse ${unique}`,
          name: "Paul Erdős",
        }),
      );
    },
  },
  http(
    "sign in",
    "POST",
    () => "/auth/login",
    ({ visitor }) => ({ body: { email: visitor.email, password: visitor.password } }),
  ),
  {
    name: "refresh a token that is good",
    async ask({ place, refreshTokens }) {
      const refreshToken = refreshTokens.pop() ?? (await place.api.person()).refreshToken;
      return word(await place.api.post("/auth/refresh", { refreshToken }));
    },
  },
  http("read a project", "GET", ({ projectId }) => `/projects/${projectId}`),
  http(
    "change a project",
    "PATCH",
    ({ projectId }) => `/projects/${projectId}`,
    () => ({ body: { name: "Engine 2" } }),
  ),
  http("read a text file", "GET", ({ workspaceId }) => `/workspaces/${workspaceId}/files/text.md`),
  {
    name: "write a text file",
    ask: async (scene) => word(await put(scene, "text.md", `text ${Math.random()}`, "text/plain")),
  },
  http("read a binary file", "GET", ({ workspaceId }) => `/workspaces/${workspaceId}/files/image.png`),
  {
    name: "write a binary file",
    ask: async (scene) =>
      word(
        await put(scene, "image.png", Buffer.concat([PNG, Buffer.from(String(Math.random()))]), "image/png"),
      ),
  },
  http("list the jobs", "GET", () => "/jobs"),
  http(
    "submit a job (no worker runs)",
    "POST",
    () => "/jobs",
    () => ({
      body: { type: "code_execution", payload: { language: "javascript", code: "1" } },
    }),
  ),
  http("read the activity log", "GET", ({ projectId }) => `/projects/${projectId}/activity`),
  http("who is there", "GET", ({ projectId }) => `/projects/${projectId}/presence`),
  {
    name: "open an events socket",
    async ask({ place, ada, projectId }) {
      const query = new URLSearchParams({ token: ada.token, projectId }).toString();
      return connectSocket(`${place.wsUrl}/?${query}`).then((socket) => {
        socket.terminate();
        return "opened";
      }, refusal);
    },
  },
  {
    name: "a message on an open socket",
    async ask({ socket }) {
      if (socket.socket.readyState !== socket.socket.OPEN) return "closed";
      const id = `m${Math.random()}`;
      socket.send({ type: "chat_message", payload: {}, id });
      const answer = await socket
        .next((message) => message.id === id && (message.type === "ack" || message.type === "nack"), 8_000)
        .catch(() => undefined);
      if (!answer) return "no answer";
      return answer.type === "nack" ? `nack ${String(answer.code)}` : answer.type;
    },
  },
  {
    name: "open a document",
    ask: async ({ place, ada, workspaceId }) =>
      openRawSocket(`${place.wsUrl}/yjs/${workspaceId}/text.md?token=${ada.token}`).then((socket) => {
        socket.terminate();
        return "opened";
      }, refusal),
  },
  {
    name: "an edit in an open editor",
    async ask({ editor }) {
      editor.text.insert(0, "x");
      for (const deadline = performance.now() + KEPT_MS; performance.now() < deadline; await delay(20))
        if (!editor.provider.hasUnsyncedChanges) return "kept";
      return "waits";
    },
  },
  {
    name: "`/readyz`",
    async ask({ place }) {
      const response = await fetch(`${place.httpUrl}/readyz`);
      const { status } = (await response.json()) as { status?: unknown };
      return typeof status === "string" ? `${response.status} ${status}` : String(response.status);
    },
  },
  {
    name: "`/livez`",
    ask: async ({ place }) => String((await fetch(`${place.httpUrl}/livez`)).status),
  },
];

function refusal(error: unknown): string {
  if (error instanceof UpgradeRefused) return `${error.status} ${error.problem.code}`;
  const { status, code } = error as { status?: number; code?: string };
  return status === undefined ? "closed" : `${status} ${code ?? ""}`;
}
