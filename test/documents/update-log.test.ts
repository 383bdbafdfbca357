import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { sql } from "kysely";
import { v7 } from "uuid";
import { createLogRepository, type LogRepository } from "../../src/documents/log-repository.js";
import { createUpdateLog } from "../../src/documents/update-log.js";
import { dependencyUnavailable } from "../../src/errors.js";
import { systemClock } from "../../src/platform/clock.js";
import { createNullLogger } from "../../src/platform/observability/logger.js";
import { type DocumentBench, startDocumentBench } from "../kit/document-bench.js";

let bench: DocumentBench;
const documents: string[] = [];
beforeAll(async () => {
  bench = await startDocumentBench();
  for (let i = 0; i < 3; i++) await bench.put(`log/${i}.md`, "");
  const { rows } = await sql<{ id: string }>`select id from documents order by id`.execute(tables());
  documents.push(...rows.map(({ id }) => id));
});
afterAll(() => bench.stop());

const tables = () => bench.node.app.stores.database.tables();
const stored = async (documentId: string) => {
  const { rows } = await sql<{ seq: string; update: Buffer }>`
    select seq, update from document_updates where document_id = ${documentId} order by seq`.execute(
    tables(),
  );
  return rows.map(({ seq, update }) => [Number(seq), update.toString()] as const);
};

function logOver(repository: LogRepository, capBytes?: number) {
  const batches: number[] = [];
  const log = createUpdateLog({
    database: bench.node.app.stores.database,
    repository,
    clock: systemClock,
    logger: createNullLogger(),
    observe: (size) => batches.push(size),
    ...(capBytes === undefined ? {} : { capBytes }),
  });
  const append = (documentId: string, text: string) =>
    log.append({ documentId, update: Buffer.from(text), userId: bench.ada.id });
  return { log, append, batches };
}

describe("the update log", () => {
  it("[DOC60] updates of one turn go in one commit over all documents, each document with its own seq without holes", async () => {
    const { append, batches } = logOver(createLogRepository());
    const wanted = documents.flatMap((id, d) =>
      Array.from({ length: 4 }, (_, i) => [id, `${d}.${i}`] as const),
    );
    const seqs = await Promise.all(wanted.map(([id, text]) => append(id, text)));
    expect(batches).toEqual([12]);
    expect(seqs).toEqual([1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4]);
    for (const [d, id] of documents.entries())
      expect(await stored(id)).toEqual([1, 2, 3, 4].map((seq) => [seq, `${d}.${seq - 1}`]));
  });

  it("[DOC60] two logs that append to the same documents at once leave no hole and no duplicate", async () => {
    const [a, b] = [logOver(createLogRepository()), logOver(createLogRepository())];
    const before = (await stored(documents[0] ?? "")).length;
    await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        await new Promise((resolve) => setTimeout(resolve, i));
        const order = i % 2 ? documents : [...documents].reverse();
        await Promise.all(order.map((id) => (i % 3 ? a : b).append(id, `x${i}`)));
      }),
    );
    for (const id of documents)
      expect((await stored(id)).map(([seq]) => seq)).toEqual(
        Array.from({ length: before + 60 }, (_, i) => i + 1),
      );
  });

  it("[DOC61] an entry the database refuses, or whose document is gone, fails alone", async () => {
    const { append, log } = logOver(createLogRepository());
    const [first = ""] = documents;
    const outcomes = await Promise.allSettled([
      append(first, "good"),
      append(v7(), "of a document that is not there"),
      log.append({ documentId: first, update: Buffer.from("bad"), userId: "no uuid" }),
      append(first, "good too"),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected", "fulfilled"]);
    expect(outcomes[1]).toMatchObject({ reason: { code: "not_found" } });
    expect(log.waitingBytes).toBe(0);
  });

  it("[DOC62] while the database is away nothing is answered and no more than the cap is taken; then all is kept in order", async () => {
    const real = createLogRepository();
    let away = true;
    const { append, log } = logOver(
      {
        ...real,
        appendAll: (...args) =>
          away ? Promise.reject(dependencyUnavailable("database")) : real.appendAll(...args),
      },
      1_000,
    );
    const [first = ""] = documents;
    const before = (await stored(first)).length;
    const answers: number[] = [];
    const waiting = Array.from({ length: 5 }, (_, i) =>
      append(first, `away ${i}`).then((seq) => answers.push(seq)),
    );
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(answers).toEqual([]);
    expect(log.stalled).toBe(true);
    expect(log.accepts(1_000)).toBe(false);
    expect(log.accepts(100)).toBe(true);
    away = false;
    await Promise.all(waiting);
    expect((await stored(first)).slice(before).map(([, text]) => text)).toEqual(
      [0, 1, 2, 3, 4].map((i) => `away ${i}`),
    );
    expect(log.stalled).toBe(false);
  });
});
