import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { MongoClient } from "mongodb";
import { v7 } from "uuid";
import type { ActivityEntry } from "../../src/activity/store/activity-store.js";
import { createMongoActivityStore, createMongoPresenceSessionStore } from "../../src/activity/store/mongo.js";
import { connectMongo, type Mongo } from "../../src/platform/mongo/mongo.js";
import { expectUnavailable } from "../kit/activity-stores.js";
import { findTestMongo, type TestMongo, testDatabaseName } from "../kit/mongo.js";
import { startTcpProxy } from "../kit/tcp-proxy.js";

const found = findTestMongo();
const suite = found.available ? describe : describe.skip;
const onFaithful = found.available && found.faithful ? it : it.skip;
const onRestartable = found.available && found.faithful && found.restartable ? it : it.skip;
const DAY = 86_400;

function entry(projectId: string, fields: Partial<ActivityEntry> = {}): ActivityEntry {
  return { id: v7(), projectId, userId: null, type: "file_saved", payload: {}, createdAt: 1, ...fields };
}

it("[AS18] a connection string that is none stops the start without being repeated", () => {
  for (const uri of ["mongodb://ada:hunter2@/x", "mongodb://ada:hunter2@host:99999/", "http://hunter2", ""]) {
    expect(() => connectMongo({ uri, onError: () => undefined })).toThrow(/^(?!.*hunter2).*not valid$/);
  }
});

suite(`activity store, MongoDB only${found.available ? "" : `: ${found.reason}`}`, () => {
  let server: TestMongo;
  let admin: MongoClient;
  const open: Mongo[] = [];
  const databases: string[] = [];

  beforeAll(async () => {
    if (found.available) server = await found.start();
    admin = new MongoClient(server.uri("admin"));
  });
  afterAll(async () => {
    await Promise.all(open.map((mongo) => mongo.close()));
    await Promise.all(databases.map((name) => admin.db(name).dropDatabase()));
    await admin.close();
    await server.close();
  });

  function connect(
    name = testDatabaseName(),
    door?: { host: string; port: number },
  ): { mongo: Mongo; name: string } {
    const mongo = connectMongo({ uri: server.uri(name, door), onError: () => undefined });
    open.push(mongo);
    databases.push(name);
    return { mongo, name };
  }

  async function indexes(name: string, collection: string): Promise<Record<string, unknown>> {
    const all = await admin.db(name).collection(collection).indexes();
    return Object.fromEntries(
      all.map((index) => [
        index.name,
        index.expireAfterSeconds === undefined ? index.key : index.expireAfterSeconds,
      ]),
    );
  }

  it("[AS14] indexes are named, and the server removes entries after 365 days and connections 30 days after their end", async () => {
    const { mongo, name } = connect();
    createMongoActivityStore(mongo);
    createMongoPresenceSessionStore(mongo);
    await mongo.indexesReady();
    expect(await indexes(name, "activity")).toEqual({
      _id_: { _id: 1 },
      project_recent: { projectId: 1, createdAt: -1, _id: -1 },
      project_type_recent: { projectId: 1, type: 1, createdAt: -1, _id: -1 },
      project_user_recent: { projectId: 1, userId: 1, createdAt: -1, _id: -1 },
      retention: 365 * DAY,
    });
    expect(await indexes(name, "connection_sessions")).toEqual({
      _id_: { _id: 1 },
      project_recent: { projectId: 1, connectedAt: -1, _id: -1 },
      retention: 30 * DAY,
      retention_unended: 365 * DAY,
    });
    const ttl = (await admin.db(name).collection("connection_sessions").indexes()).find(
      (index) => index.name === "retention",
    );
    expect(ttl?.key).toEqual({ disconnectedAt: 1 });
  });

  onFaithful(
    "[AS14] a changed retention is taken over at the next start; 0 keeps entries for ever",
    async () => {
      const { name } = connect();
      for (const [retentionDays, expected] of [
        [0, undefined],
        [7, 7 * DAY],
        [90, 90 * DAY],
        [90, 90 * DAY],
        [0, undefined],
      ] as const) {
        const { mongo } = connect(name);
        const store = createMongoActivityStore(mongo, { retentionDays });
        await store.append([entry(v7())]);
        await mongo.indexesReady();
        expect((await indexes(name, "activity"))["retention"]).toBe(expected);
      }
    },
  );

  it("[AS14] a retention that is no whole number of days is refused", () => {
    const { mongo } = connect();
    for (const retentionDays of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => createMongoActivityStore(mongo, { retentionDays })).toThrow(RangeError);
    }
  });

  it("[AS15] the stores start without a server, and have their indexes soon after it appears", async () => {
    const door = await startTcpProxy({ host: server.host, port: server.port });
    await door.stop();
    const errors: unknown[] = [];
    const name = testDatabaseName();
    databases.push(name);
    const mongo = connectMongo({ uri: server.uri(name, door), onError: (error) => errors.push(error) });
    open.push(mongo);
    const store = createMongoActivityStore(mongo);
    const first = entry(v7());
    // Long enough for two tries to make the indexes.
    for (let tried = 0; tried < 3; tried++) await expectUnavailable(store.append([first]));
    expect(errors).toHaveLength(1);
    await door.restore();
    await store.append([first]);
    expect(await store.list({ projectId: first.projectId, limit: 10 })).toEqual([first]);
    await mongo.indexesReady();
    expect(Object.keys(await indexes(name, "activity"))).toHaveLength(5);
    await door.close();
  });

  it("[AS15] after close, and with a server that is away, nothing is left waiting", async () => {
    const door = await startTcpProxy({ host: server.host, port: server.port });
    const { mongo } = connect(testDatabaseName(), door);
    const store = createMongoActivityStore(mongo);
    door.stall();
    const pending = expectUnavailable(store.append([entry(v7())]));
    await mongo.close();
    await pending;
    await mongo.indexesReady();
    await expectUnavailable(store.ping());
    await door.close();
  });

  onFaithful(
    "[AS16] only duplicates are forgiven: a batch that also met another fault is refused",
    async () => {
      const { mongo, name } = connect();
      await admin.db(name).createCollection("activity", { validator: { type: { $ne: "refused" } } });
      const store = createMongoActivityStore(mongo);
      const projectId = v7();
      const [known, refused, fresh] = [
        entry(projectId),
        entry(projectId, { type: "refused" }),
        entry(projectId),
      ];
      await store.append([known]);
      await expectUnavailable(store.append([known, refused, fresh]));
      const kept = await store.list({ projectId, limit: 10 });
      expect(kept.map(({ type }) => type)).toEqual(["file_saved", "file_saved"]);
    },
  );

  onRestartable(
    "[AS17] a server that is killed and starts again has every entry it acknowledged",
    async () => {
      const { mongo } = connect();
      const store = createMongoActivityStore(mongo);
      const [before, after] = [entry(v7()), entry(v7())];
      await store.append([before]);
      await server.restart?.("SIGKILL");
      await store.append([after]);
      expect(await store.list({ projectId: before.projectId, limit: 10 })).toEqual([before]);
      expect(await store.list({ projectId: after.projectId, limit: 10 })).toEqual([after]);
    },
  );
});
