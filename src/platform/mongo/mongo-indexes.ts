import { type CreateIndexesOptions, type Db, MongoServerError } from "mongodb";

/** One named index: plain, compound or TTL, the kinds every MongoDB-compatible service has. */
export interface MongoIndex {
  readonly name: string;
  readonly key: Readonly<Record<string, 1 | -1>>;
  /** Makes it a TTL index on its one date field; `"never"` removes the index if it is there. */
  readonly expireAfterSeconds?: number | "never";
}

const NAMESPACE_NOT_FOUND = 26;
const INDEX_NOT_FOUND = 27;
const INDEX_OPTIONS_CONFLICT = 85;

/** Brings the indexes of one collection to what `indexes` says, whatever time to live an earlier start gave them. */
export async function ensureIndexes(
  db: Db,
  collection: string,
  indexes: readonly MongoIndex[],
): Promise<void> {
  for (const index of indexes) {
    if (index.expireAfterSeconds === "never") await drop(db, collection, index.name);
    else await create(db, collection, index, index.expireAfterSeconds);
  }
}

async function create(
  db: Db,
  collection: string,
  { name, key }: MongoIndex,
  expireAfterSeconds: number | undefined,
): Promise<void> {
  const options: CreateIndexesOptions = {
    name,
    ...(expireAfterSeconds === undefined ? {} : { expireAfterSeconds }),
  };
  try {
    await db.collection(collection).createIndex(key, options);
  } catch (error) {
    if (expireAfterSeconds === undefined || !hasCode(error, INDEX_OPTIONS_CONFLICT)) throw error;
    await db.command({ collMod: collection, index: { name, expireAfterSeconds } });
  }
}

async function drop(db: Db, collection: string, name: string): Promise<void> {
  try {
    await db.collection(collection).dropIndex(name);
  } catch (error) {
    if (!hasCode(error, INDEX_NOT_FOUND) && !hasCode(error, NAMESPACE_NOT_FOUND)) throw error;
  }
}

function hasCode(error: unknown, code: number): boolean {
  return error instanceof MongoServerError && error.code === code;
}
