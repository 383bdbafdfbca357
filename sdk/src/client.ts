import { type Auth, createAuth, createSessions, type Sessions } from "./auth.js";
import { type Caller, createCaller } from "./caller.js";
import type { Operations } from "./generated/api.js";
import { createHttp } from "./http.js";
import { createJobs, type Jobs } from "./jobs.js";
import type { Position } from "./outbox.js";
import {
  type ActivityLog,
  createActivityLog,
  createInvitations,
  createMembers,
  createProjects,
  type Invitations,
  type Members,
  type Projects,
} from "./projects.js";
import { createRealtime, type Realtime } from "./realtime.js";
import { createSession, type Session } from "./session.js";
import { createSockets, type Sockets, type WebSocketConstructor } from "./sockets.js";
import { defaultStore, type TokenStore } from "./token-store.js";
import { createFiles, createWorkspaces, type Files, type Workspaces } from "./workspaces.js";

/** How a client is made. */
export interface ClientOptions {
  /** Where the service is, such as `http://localhost:3000`; default: the page's own origin. */
  readonly url?: string;
  /** Version in the API's path; default `v1`. */
  readonly apiVersion?: string;
  /** Where the session is kept; default `localStorage` in a page, memory elsewhere. */
  readonly storage?: TokenStore;
  /** Where the sockets are; default: found out from the service. */
  readonly wsUrl?: string;
  readonly fetch?: typeof fetch;
  /** Needed in Node.js before version 22: the one of the package `ws`. */
  readonly WebSocket?: WebSocketConstructor;
  /** Milliseconds of silence on a socket after which the service is asked whether it is there; default 25,000. */
  readonly heartbeatMs?: number;
  /** Milliseconds for one try of a request; default 30,000. */
  readonly timeoutMs?: number;
  /** How often a request is tried again where that is safe; default 3. */
  readonly retries?: number;
  /** The longest `Retry-After` that is waited for, in ms; default 10,000. A longer one is an error at once. */
  readonly patienceMs?: number;
}

/** One service, as one account. */
export interface Client {
  /** Where the service is. */
  readonly url: string;
  readonly auth: Auth;
  readonly sessions: Sessions;
  readonly projects: Projects;
  readonly members: Members;
  readonly invitations: Invitations;
  readonly workspaces: Workspaces;
  readonly files: Files;
  readonly jobs: Jobs;
  readonly activity: ActivityLog;
  /** Opens the live events of a project; `since` goes on from a place kept before. */
  realtime(projectId: string, options?: { readonly since?: Position }): Realtime;
  /** The rate limits in force. */
  limits(): Promise<Operations["listLimits"]["reply"]>;
  /** Any operation of the OpenAPI document by its id, with tokens, retries and typed errors. */
  readonly call: Caller["call"];
  /** What `atelier-client/document` is built on. */
  readonly connection: Connection;
  /** Stops what runs by itself; the session stays where it is kept. */
  close(): void;
}

/** The session and the sockets of a client. */
export interface Connection {
  readonly session: Session;
  readonly sockets: Sockets;
}

/** A client of the service at `url`. */
export function createClient(options: ClientOptions = {}): Client {
  const url = (options.url ?? globalThis.location?.origin ?? "").replace(/\/+$/, "");
  const fetcher = options.fetch ?? globalThis.fetch;
  const http = createHttp({
    base: `${url}/api/${options.apiVersion ?? "v1"}`,
    fetch: (input, init) => fetcher(input, init),
    timeoutMs: options.timeoutMs ?? 30_000,
    retries: options.retries ?? 3,
    patienceMs: options.patienceMs ?? 10_000,
  });
  const session = createSession({
    store: options.storage ?? defaultStore(`atelier ${url}`),
    name: url,
    exchange: async (refreshToken) => {
      const { bytes } = await http.send({
        method: "POST",
        path: "/auth/refresh",
        headers: { "content-type": "application/json" },
        content: JSON.stringify({ refreshToken }),
        // The service gives the same successor to a repeat.
        repeatable: true,
      });
      return (JSON.parse(new TextDecoder().decode(bytes)) as Operations["refresh"]["reply"]).tokens;
    },
  });
  const caller = createCaller(http, session);
  const sockets = createSockets({
    url,
    wsUrl: options.wsUrl,
    WebSocket: options.WebSocket,
    silenceMs: options.heartbeatMs ?? 25_000,
    fetch: (input, init) => fetcher(input, init),
  });
  const rooms = new Set<Realtime>();
  return {
    url,
    auth: createAuth(caller, session),
    sessions: createSessions(caller),
    projects: createProjects(caller),
    members: createMembers(caller),
    invitations: createInvitations(caller),
    workspaces: createWorkspaces(caller),
    files: createFiles(caller),
    jobs: createJobs(caller),
    activity: createActivityLog(caller),
    realtime(projectId, { since } = {}) {
      const room = createRealtime({ projectId, since, caller, session, sockets });
      rooms.add(room);
      room.subscribe("state", (state) => {
        if (state === "closed") rooms.delete(room);
      });
      return room;
    },
    limits: () => caller.call("listLimits", {}),
    call: caller.call,
    connection: { session, sockets },
    close() {
      for (const room of rooms) room.close();
      session.close();
    },
  };
}

export type { CallInput, CallOptions, OperationId } from "./caller.js";
export { AtelierError, type AtelierErrorCode, type Fault, isAtelierError } from "./errors.js";
export type * from "./generated/api.js";
export type * from "./generated/frames.js";
export type { JobRun, RunOptions } from "./job-run.js";
export type { JobOf, JobType } from "./jobs.js";
export type { LinkState } from "./link.js";
export type { Acknowledged, Position } from "./outbox.js";
export type { Page, Pages } from "./pages.js";
export type { Role } from "./projects.js";
export type { RawContent, RawReply } from "./raw.js";
export type {
  EphemeralType,
  HistoryType,
  ProjectEvent,
  Realtime,
  RealtimeSignals,
} from "./realtime.js";
export type { SessionState } from "./session.js";
export type { WebSocketConstructor } from "./sockets.js";
export { memoryStore, type TokenStore, type WebStorageLike, webStore } from "./token-store.js";
