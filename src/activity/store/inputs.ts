import type { ActivityEntry, ActivityQuery } from "./activity-store.js";
import type { ConnectionSession } from "./presence-session-store.js";

/** What both adapters write for an entry: canonical ids, the payload as JSON text, the time as a Date. */
export interface EntryRow {
  readonly id: string;
  readonly projectId: string;
  readonly userId: string | null;
  readonly type: string;
  readonly payload: string;
  readonly createdAt: Date;
}

/** What both adapters write for a connection. */
export interface SessionRow {
  readonly id: string;
  readonly projectId: string;
  readonly userId: string;
  readonly nodeId: string;
  readonly connectedAt: Date;
  readonly disconnectedAt: Date | null;
  readonly closeCode: number | null;
}

/** The end of a connection. */
export interface SessionEnd {
  readonly id: string;
  readonly disconnectedAt: Date;
  readonly closeCode: number;
}

/** A query whose every value has the type a store may rely on. */
export interface CheckedQuery {
  readonly projectId: string;
  readonly type: string | undefined;
  readonly userId: string | undefined;
  readonly since: Date | undefined;
  readonly until: Date | undefined;
  readonly before: { readonly createdAt: Date; readonly id: string } | undefined;
  readonly limit: number;
}

/** Rows written in one statement; at 16 KiB of payload each, 8 MiB. */
export const WRITE_BATCH = 500;
/** Rows removed in one statement, so that none of them holds locks or replication for long. */
export const DELETE_BATCH = 1000;

const LONGEST_PAGE = 1000;
/** The end of the year 9999, the last one RFC 3339 can write. */
const LATEST_MS = 253_402_300_799_999;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Bounded because both stores index it. PostgreSQL cannot hold U+0000 in text. */
const NAME = /^[^\0]{1,200}$/su;

/** `value` in lower case when it is a UUID; PostgreSQL ignores the case of one and MongoDB does not. */
export function uuid(value: unknown): string | undefined {
  return typeof value === "string" && UUID.test(value) ? value.toLowerCase() : undefined;
}

/** `query` made safe to hand to a store, or undefined when one of its values can match nothing, an object for instance. */
export function checkQuery(query: ActivityQuery): CheckedQuery | undefined {
  const projectId = uuid(query.projectId);
  const userId = query.userId === undefined ? undefined : uuid(query.userId);
  const limit = pageLimit(query.limit);
  const known =
    (query.type === undefined || isName(query.type)) &&
    (query.userId === undefined || userId !== undefined) &&
    isBound(query.since) &&
    isBound(query.until);
  if (projectId === undefined || limit === undefined || !known) return undefined;

  const { since, until, type } = query;
  const page = { projectId, type, userId, since: bound(since), until: bound(until), limit };
  if (query.before === undefined) return { ...page, before: undefined };
  const id = uuid(query.before.id);
  if (id === undefined || !isMoment(query.before.createdAt)) return undefined;
  return { ...page, before: { id, createdAt: new Date(query.before.createdAt) } };
}

/** `limit` as a page size a store accepts, or undefined when it asks for nothing (MongoDB reads 0 as "all"). */
export function pageLimit(limit: unknown): number | undefined {
  return typeof limit === "number" && limit >= 1 ? Math.min(Math.trunc(limit), LONGEST_PAGE) : undefined;
}

/** The rows of `entries` in the order of their ids, so that two writers of the same ones cannot deadlock. */
export function entryRows(entries: readonly ActivityEntry[]): readonly EntryRow[] {
  return entries.map(entryRow).sort(byId);
}

/** The rows of `sessions` in the order of their ids. */
export function sessionRows(sessions: readonly ConnectionSession[]): readonly SessionRow[] {
  return sessions.map(sessionRow).sort(byId);
}

/** The checked ends of connections, one for each id, in the order of their ids. */
export function sessionEnds(
  ends: readonly { readonly id: string; readonly disconnectedAt: number; readonly closeCode: number }[],
): readonly SessionEnd[] {
  const byFirst = new Map<string, SessionEnd>();
  for (const end of ends) {
    const id = required("session id", uuid(end.id));
    if (byFirst.has(id)) continue;
    byFirst.set(id, {
      id,
      disconnectedAt: new Date(moment("disconnectedAt", end.disconnectedAt)),
      closeCode: closeCode(end.closeCode),
    });
  }
  return [...byFirst.values()].sort(byId);
}

/** `items` in runs of at most `size`. */
export function* batches<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}

function entryRow(entry: ActivityEntry): EntryRow {
  return {
    id: required("entry id", uuid(entry.id)),
    projectId: required("projectId", uuid(entry.projectId)),
    userId: entry.userId === null ? null : required("userId", uuid(entry.userId)),
    type: required("type", isName(entry.type) ? entry.type : undefined),
    payload: required("payload", jsonObject(entry.payload)),
    createdAt: new Date(moment("createdAt", entry.createdAt)),
  };
}

function sessionRow(session: ConnectionSession): SessionRow {
  const { disconnectedAt } = session;
  return {
    id: required("session id", uuid(session.id)),
    projectId: required("projectId", uuid(session.projectId)),
    userId: required("userId", uuid(session.userId)),
    nodeId: required("nodeId", isName(session.nodeId) ? session.nodeId : undefined),
    connectedAt: new Date(moment("connectedAt", session.connectedAt)),
    disconnectedAt: disconnectedAt === null ? null : new Date(moment("disconnectedAt", disconnectedAt)),
    closeCode: session.closeCode === null ? null : closeCode(session.closeCode),
  };
}

/** Text keeps what BSON and jsonb cannot: U+0000, keys with `$` and `.`, `_bsontype`, the order of keys. */
function jsonObject(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return JSON.stringify(value);
}

function closeCode(value: unknown): number {
  return required("closeCode", isCloseCode(value) ? value : undefined);
}

function isCloseCode(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 65_535;
}

function moment(name: string, value: unknown): number {
  return required(name, isMoment(value) ? value : undefined);
}

function isMoment(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= LATEST_MS;
}

function isBound(value: unknown): boolean {
  return value === undefined || (typeof value === "number" && !Number.isNaN(value));
}

/** Moments outside the range a store can hold say the same as its ends. */
function bound(value: number | undefined): Date | undefined {
  return value === undefined ? undefined : new Date(Math.ceil(Math.min(Math.max(value, 0), LATEST_MS)));
}

function isName(value: unknown): value is string {
  return typeof value === "string" && NAME.test(value);
}

function required<T>(name: string, value: T | undefined): T {
  if (value === undefined) throw new TypeError(`${name} is not in the form the activity store takes`);
  return value;
}

function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id < b.id ? -1 : Number(a.id > b.id);
}
