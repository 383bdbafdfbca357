import { expect } from "@jest/globals";
import type { Db } from "mongodb";
import type { ActivityStore } from "../../src/activity/store/activity-store.js";
import { createMongoActivityStore, createMongoPresenceSessionStore } from "../../src/activity/store/mongo.js";
import {
  createPostgresActivityStore,
  createPostgresPresenceSessionStore,
} from "../../src/activity/store/postgres.js";
import type { PresenceSessionStore } from "../../src/activity/store/presence-session-store.js";
import { createPostgresDatabase } from "../../src/platform/database/postgres.js";
import type { PostgresConnection } from "../../src/platform/database/postgres-connection.js";
import { connectMongo } from "../../src/platform/mongo/mongo.js";
import { findTestMongo, testDatabaseName } from "./mongo.js";
import { createTestDatabase } from "./postgres.js";
import { startTcpProxy, type TcpProxy } from "./tcp-proxy.js";

/** Both stores on one server, reached through a door that tests may shut. */
export interface ActivityStoresTarget {
  readonly activity: ActivityStore;
  readonly sessions: PresenceSessionStore;
  readonly door: TcpProxy;
  close(): Promise<void>;
}

/** One kind of server; `missing` says why it cannot be reached here. */
export interface ActivityStoresKind {
  readonly name: "postgresql" | "mongodb";
  readonly missing: string | undefined;
  open(): Promise<ActivityStoresTarget>;
}

/** The servers that the contract suites of both stores loop over. */
export function activityStoresKinds(): readonly ActivityStoresKind[] {
  const mongo = findTestMongo();
  return [
    { name: "postgresql", missing: undefined, open: openPostgres },
    { name: "mongodb", missing: mongo.available ? undefined : mongo.reason, open: openMongo },
  ];
}

/** What the store's promise about a server that is away comes to: the right error, in time. */
export async function expectUnavailable(work: Promise<unknown>): Promise<void> {
  const startedAt = performance.now();
  await expect(work).rejects.toMatchObject({
    code: "dependency_unavailable",
    headers: { "Retry-After": "2" },
  });
  // Two seconds, and what a busy machine adds to them.
  expect(performance.now() - startedAt).toBeLessThan(2600);
}

async function openPostgres(): Promise<ActivityStoresTarget> {
  const created = await createTestDatabase();
  const door = await startTcpProxy(addressOf(created.connection));
  const database = createPostgresDatabase({
    connection: through(created.connection, door),
    onError: () => undefined,
  });
  return {
    activity: createPostgresActivityStore(database),
    sessions: createPostgresPresenceSessionStore(database),
    door,
    async close() {
      await database.close();
      await door.close();
      await created.close();
    },
  };
}

function addressOf({ url, host = "localhost", port = 5432 }: PostgresConnection) {
  if (url !== undefined) {
    const { hostname, port: urlPort } = new URL(url);
    return { host: hostname, port: Number(urlPort || 5432) };
  }
  return host.startsWith("/") ? { path: `${host}/.s.PGSQL.${port}` } : { host, port };
}

function through(connection: PostgresConnection, door: TcpProxy): PostgresConnection {
  if (connection.url === undefined) return { ...connection, host: door.host, port: door.port };
  const url = new URL(connection.url);
  url.host = `${door.host}:${door.port}`;
  return { ...connection, url: url.href };
}

async function openMongo(): Promise<ActivityStoresTarget> {
  const source = findTestMongo();
  if (!source.available) throw new Error(source.reason);
  const server = await source.start();
  const door = await startTcpProxy({ host: server.host, port: server.port });
  const database = testDatabaseName();
  const mongo = connectMongo({ uri: server.uri(database, door), onError: () => undefined });
  const activity = createMongoActivityStore(mongo);
  const sessions = createMongoPresenceSessionStore(mongo);
  await mongo.indexesReady();
  return {
    activity,
    sessions,
    door,
    async close() {
      await door.restore();
      await mongo.run((db: Db) => db.dropDatabase());
      await mongo.close();
      await door.close();
      await server.close();
    },
  };
}
