import {
  type AnyBulkWriteOperation,
  type Collection,
  type Db,
  type Filter,
  MongoBulkWriteError,
  type OptionalUnlessRequiredId,
} from "mongodb";
import type { Mongo } from "../../platform/mongo/mongo.js";
import type { ActivityStore } from "./activity-store.js";
import {
  batches,
  checkQuery,
  DELETE_BATCH,
  entryRows,
  pageLimit,
  sessionEnds,
  sessionRows,
  uuid,
  WRITE_BATCH,
} from "./inputs.js";
import type { PresenceSessionStore } from "./presence-session-store.js";
import {
  DEFAULT_ACTIVITY_RETENTION_DAYS,
  retentionSeconds,
  SESSION_RETENTION_DAYS,
  UNENDED_SESSION_RETENTION_DAYS,
} from "./retention.js";

/** An entry as a document; its `_id` is the id of the event. */
interface EntryDocument {
  readonly _id: string;
  readonly projectId: string;
  readonly userId: string | null;
  readonly type: string;
  /** JSON text. */
  readonly payload: string;
  readonly createdAt: Date;
}

interface SessionDocument {
  readonly _id: string;
  readonly projectId: string;
  readonly userId: string;
  readonly nodeId: string;
  readonly connectedAt: Date;
  readonly disconnectedAt: Date | null;
  readonly closeCode: number | null;
}

const ACTIVITY = "activity";
const SESSIONS = "connection_sessions";

const DUPLICATE_KEY = 11_000;
/** The server ends a read that nobody waits for any longer. */
const READ_LIMIT = { maxTimeMS: 1500 };

/** How long activity is kept. */
export interface MongoActivityOptions {
  /** Days after which the server removes an entry; 0 keeps it for ever, default 365. */
  readonly retentionDays?: number;
}

/** The activity log in the collection `activity` of `mongo`, which its owner closes. */
export function createMongoActivityStore(
  mongo: Mongo,
  { retentionDays = DEFAULT_ACTIVITY_RETENTION_DAYS }: MongoActivityOptions = {},
): ActivityStore {
  mongo.keepIndexes(ACTIVITY, [
    { name: "project_recent", key: { projectId: 1, createdAt: -1, _id: -1 } },
    { name: "project_type_recent", key: { projectId: 1, type: 1, createdAt: -1, _id: -1 } },
    { name: "project_user_recent", key: { projectId: 1, userId: 1, createdAt: -1, _id: -1 } },
    { name: "retention", key: { createdAt: 1 }, expireAfterSeconds: retentionSeconds(retentionDays) },
  ]);
  const entriesIn = (db: Db): Collection<EntryDocument> => db.collection(ACTIVITY);

  return {
    async append(entries) {
      for (const rows of batches(entryRows(entries), WRITE_BATCH)) {
        const documents = rows.map(({ id, ...row }): EntryDocument => ({ _id: id, ...row }));
        await mongo.run((db) => insertNew(entriesIn(db), documents));
      }
    },

    async list(query) {
      const asked = checkQuery(query);
      if (asked === undefined) return [];
      const { type, userId, since, until, before } = asked;
      const conditions: Filter<EntryDocument>[] = [{ projectId: { $eq: asked.projectId } }];
      if (type !== undefined) conditions.push({ type: { $eq: type } });
      if (userId !== undefined) conditions.push({ userId: { $eq: userId } });
      if (since !== undefined) conditions.push({ createdAt: { $gte: since } });
      if (until !== undefined) conditions.push({ createdAt: { $lt: until } });
      if (before !== undefined) {
        const { createdAt, id } = before;
        // The first line says nothing new, but bounds the scan of the index, which an $or alone does not.
        conditions.push({ createdAt: { $lte: createdAt } });
        conditions.push({
          $or: [{ createdAt: { $lt: createdAt } }, { createdAt: { $eq: createdAt }, _id: { $lt: id } }],
        });
      }
      const found = await mongo.run((db) =>
        entriesIn(db)
          .find({ $and: conditions }, { ...READ_LIMIT, batchSize: asked.limit })
          .sort({ createdAt: -1, _id: -1 })
          .limit(asked.limit)
          .toArray(),
      );
      return found.map((entry) => ({
        id: entry._id,
        projectId: entry.projectId,
        userId: entry.userId,
        type: entry.type,
        payload: JSON.parse(entry.payload) as Record<string, unknown>,
        createdAt: entry.createdAt.getTime(),
      }));
    },

    async deleteProject(projectId) {
      const id = uuid(projectId);
      if (id === undefined) return;
      for (let found = DELETE_BATCH; found === DELETE_BATCH; ) {
        found = await mongo.run((db) => deleteBatch(entriesIn(db), id));
      }
    },

    ping: () => mongo.ping(),
    close: async () => undefined,
  };
}

/** The record of connections in the collection `connection_sessions` of `mongo`, which its owner closes. */
export function createMongoPresenceSessionStore(mongo: Mongo): PresenceSessionStore {
  mongo.keepIndexes(SESSIONS, [
    { name: "project_recent", key: { projectId: 1, connectedAt: -1, _id: -1 } },
    {
      name: "retention",
      key: { disconnectedAt: 1 },
      expireAfterSeconds: retentionSeconds(SESSION_RETENTION_DAYS),
    },
    {
      name: "retention_unended",
      key: { connectedAt: 1 },
      expireAfterSeconds: retentionSeconds(UNENDED_SESSION_RETENTION_DAYS),
    },
  ]);
  const sessionsIn = (db: Db): Collection<SessionDocument> => db.collection(SESSIONS);

  return {
    async opened(sessions) {
      for (const rows of batches(sessionRows(sessions), WRITE_BATCH)) {
        const documents = rows.map(({ id, ...row }): SessionDocument => ({ _id: id, ...row }));
        await mongo.run((db) => insertNew(sessionsIn(db), documents));
      }
    },

    async closed(ends) {
      for (const rows of batches(sessionEnds(ends), WRITE_BATCH)) {
        const updates = rows.map(
          ({ id, disconnectedAt, closeCode }): AnyBulkWriteOperation<SessionDocument> => ({
            updateOne: {
              filter: { _id: { $eq: id }, disconnectedAt: { $eq: null } },
              update: { $set: { disconnectedAt, closeCode } },
            },
          }),
        );
        await mongo.run((db) => sessionsIn(db).bulkWrite(updates, { ordered: false }));
      }
    },

    async listByProject(projectId, limit) {
      const id = uuid(projectId);
      const page = pageLimit(limit);
      if (id === undefined || page === undefined) return [];
      const found = await mongo.run((db) =>
        sessionsIn(db)
          .find({ projectId: { $eq: id } }, { ...READ_LIMIT, batchSize: page })
          .sort({ connectedAt: -1, _id: -1 })
          .limit(page)
          .toArray(),
      );
      return found.map((session) => ({
        id: session._id,
        projectId: session.projectId,
        userId: session.userId,
        nodeId: session.nodeId,
        connectedAt: session.connectedAt.getTime(),
        disconnectedAt: session.disconnectedAt?.getTime() ?? null,
        closeCode: session.closeCode,
      }));
    },

    close: async () => undefined,
  };
}

/** Inserts what is not there yet. Only duplicates are forgiven: any other fault, or a missed write concern, rejects. */
async function insertNew<D extends { readonly _id: string }>(
  collection: Collection<D>,
  documents: readonly D[],
): Promise<void> {
  try {
    await collection.insertMany(documents as readonly OptionalUnlessRequiredId<D>[], { ordered: false });
  } catch (error) {
    if (!onlyDuplicates(error)) throw error;
  }
}

function onlyDuplicates(error: unknown): boolean {
  if (!(error instanceof MongoBulkWriteError)) return false;
  const faults = [error.writeErrors].flat();
  return (
    faults.length > 0 &&
    faults.every((fault) => fault.code === DUPLICATE_KEY) &&
    error.result.getWriteConcernError() === undefined
  );
}

/** Removes up to a batch of a project's entries; answers how many it found. */
async function deleteBatch(collection: Collection<EntryDocument>, projectId: string): Promise<number> {
  const found = await collection
    .find(
      { projectId: { $eq: projectId } },
      { ...READ_LIMIT, projection: { _id: 1 }, batchSize: DELETE_BATCH },
    )
    .limit(DELETE_BATCH)
    .toArray();
  if (found.length > 0) await collection.deleteMany({ _id: { $in: found.map((entry) => entry._id) } });
  return found.length;
}
