import { Readable } from "node:stream";
import { v7 } from "uuid";
import { AppError } from "../errors.js";
import type { BlobRange, BlobStore } from "../platform/blobs/blob-store.js";
import type { Clock } from "../platform/clock.js";
import type { Database, Sql, Tx } from "../platform/database/database.js";
import type { ArtifactRepository } from "./artifact-repository.js";
import { ARTIFACT_NAME, type Artifact } from "./artifact-schema.js";
import type { RunRef } from "./run-repository.js";
import type { ArtifactRow } from "./tables.js";

/** Bounds of artifacts: how many of one job, bytes of each, bytes of all artifacts one user has. */
export const ARTIFACT_LIMITS = { perJob: 20, bytes: 64 * 1024 * 1024, ownerBytes: 1024 ** 3 } as const;

/** A file a job made; `open` gives the whole or a part of it, to be read to its end or destroyed, or throws `not_found`. */
export interface OpenArtifact {
  readonly artifact: Artifact;
  open(range?: BlobRange): Promise<Readable>;
}

/** Files that jobs made. */
export interface Artifacts {
  list(sql: Sql, jobId: string): Promise<Artifact[]>;
  /** @throws AppError `not_found`. */
  open(jobId: string, name: string): Promise<OpenArtifact>;
  /**
   * Stores a file of a run, in place of one with its name. Throws `payload_too_large` or `unprocessable` beyond the
   * limits, and `conflict` when the run is none any more; nothing is kept then.
   */
  store(
    run: RunRef,
    name: string,
    content: string | Uint8Array | Readable,
    mediaType: string,
  ): Promise<Artifact>;
  /** Drops the artifacts of a job, or of its attempts before this one. */
  drop(tx: Tx, jobId: string, beforeAttempt?: number): Promise<void>;
  /** Deletes blobs that no artifact names any more, at most `limit`. */
  clear(limit: number): Promise<void>;
}

/** A blob without a row is garbage after this time: far longer than any run takes. */
const RESERVED_MS = 24 * 3_600_000;
const CLEAR_BATCH = 200;

/** Artifacts as rows of the `Database` and contents of the `BlobStore`. */
export function createArtifacts(deps: {
  database: Database;
  repository: ArtifactRepository;
  blobs: BlobStore;
  clock: Clock;
}): Artifacts {
  const { database, repository, blobs, clock } = deps;

  async function checkLimits(jobId: string): Promise<number> {
    const { count, ownerBytes } = await repository.use(database, jobId);
    if (count >= ARTIFACT_LIMITS.perJob) {
      throw new AppError("unprocessable", {
        detail: `A job has at most ${ARTIFACT_LIMITS.perJob} artifacts.`,
      });
    }
    const left = ARTIFACT_LIMITS.ownerBytes - ownerBytes;
    if (left > 0) return Math.min(left, ARTIFACT_LIMITS.bytes);
    throw new AppError("unprocessable", {
      detail: `The artifacts of one user have at most ${ARTIFACT_LIMITS.ownerBytes} bytes altogether.`,
    });
  }

  return {
    async list(sql, jobId) {
      return (await repository.list(sql, jobId)).map(artifactOf);
    },
    async open(jobId, name) {
      const row = await repository.find(database, jobId, name);
      if (!row) throw new AppError("not_found");
      return {
        artifact: artifactOf(row),
        async open(range) {
          const blob = await blobs.get(row.blob_key, range);
          // Its job started again, or went, between the two looks.
          if (!blob) throw new AppError("not_found");
          return blob.content;
        },
      };
    },
    async store(run, name, content, mediaType) {
      if (!ARTIFACT_NAME.test(name)) throw new RangeError("not a name of an artifact");
      // It may break before anybody reads it; whoever reads it then is told.
      if (content instanceof Readable) content.on("error", () => undefined);
      const maxBytes = await checkLimits(run.jobId);
      const key = `jobs/${run.jobId}/${run.attempt}-${v7()}`;
      await repository.reserve(database, key, RESERVED_MS);
      try {
        const source = typeof content === "string" ? Buffer.from(content) : content;
        const written = await blobs.put(key, source, { maxBytes, mediaType });
        const row = {
          name,
          media_type: mediaType,
          size: written.size,
          sha256: written.sha256,
          blob_key: key,
          created_at: new Date(clock.now()),
        };
        if (!(await database.transaction((tx) => repository.insert(tx, run, row)))) {
          throw new AppError("conflict", { detail: "The run that made the artifact is over." });
        }
        return artifactOf(row);
      } catch (error) {
        if (content instanceof Readable) content.destroy();
        // Not known to be away for good: without this note it is garbage a day later.
        await repository.release(database, key).catch(() => undefined);
        throw error;
      }
    },
    drop: (tx, jobId, beforeAttempt) => repository.drop(tx, jobId, beforeAttempt),
    async clear(limit) {
      for (let cleared = 0; cleared < limit; cleared += CLEAR_BATCH) {
        const keys = await repository.garbage(database, Math.min(CLEAR_BATCH, limit - cleared));
        if (keys.length === 0) return;
        await blobs.delete(keys);
        await repository.forget(database, keys);
      }
    },
  };
}

function artifactOf(row: Omit<ArtifactRow, "job_id" | "attempt">): Artifact {
  return {
    name: row.name,
    mediaType: row.media_type,
    size: row.size,
    sha256: row.sha256,
    createdAt: row.created_at.toISOString(),
  };
}
