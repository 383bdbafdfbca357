import { afterEach, describe, expect, it } from "@jest/globals";
import { createPostgresDatabase } from "../../src/platform/database/postgres.js";
import { connectClient, type PostgresConnection } from "../../src/platform/database/postgres-connection.js";
import { createJobApp, eventually, type JobApp, type JobAppOptions, never } from "../kit/job-app.js";
import { createJobParts } from "../kit/job-parts.js";
import { createGate } from "../kit/job-queue.js";
import { startTcpProxy } from "../kit/tcp-proxy.js";

let app: JobApp;
afterEach(() => app.close());

async function open(options: JobAppOptions = {}): Promise<JobApp> {
  app = await createJobApp(options);
  return app;
}

/** Where PostgreSQL listens, and the same server through a door on the loopback. */
function doorFor(connection: PostgresConnection) {
  const { url, host = "127.0.0.1", port = 5432 } = connection;
  if (url !== undefined) {
    const at = new URL(url);
    return {
      target: { host: at.hostname, port: Number(at.port || 5432) },
      through(doorPort: number): PostgresConnection {
        at.host = `127.0.0.1:${doorPort}`;
        return { ...connection, url: at.href };
      },
    };
  }
  return {
    target: host.startsWith("/") ? { path: `${host}/.s.PGSQL.${port}` } : { host, port },
    through: (doorPort: number): PostgresConnection => ({ ...connection, host: "127.0.0.1", port: doorPort }),
  };
}
describe("what was answered 202", () => {
  const longAgo = () =>
    app
      .sql()
      .updateTable("jobs")
      .set({ enqueued_at: new Date(Date.now() - 16_000) })
      .where("enqueued_at", "is not", null)
      .execute();

  it("[JOB46] runs after the queue has lost everything", async () => {
    const { handlers, store } = await open();
    handlers.set("quick", (_context, value) => value);
    const ada = await app.user();
    const jobs = await Promise.all([1, 2].map((value) => app.task(ada, "quick", { value })));
    const delayed = await app.task(ada, "quick", { value: 3, options: { delayMs: 60_000 } });
    await eventually(async () =>
      expect(await app.parts.queue.counts()).toMatchObject({ waiting: 2, delayed: 1 }),
    );
    if (store.address.kind !== "postgres") throw new Error("another store");
    const client = await connectClient(store.address.connection);
    await client.query("truncate bullmq.job cascade");
    await client.end();
    expect(await app.parts.queue.counts()).toMatchObject({ waiting: 0, delayed: 0 });
    await app.worker();
    await longAgo();
    await app.parts.jobs.sweep();
    for (const { id } of jobs) await app.event("job_completed", id);
    expect(await app.row(delayed.id)).toMatchObject({ status: "pending" });
    await app.sql().updateTable("jobs").set({ run_at: new Date() }).where("id", "=", delayed.id).execute();
    await longAgo();
    await app.parts.jobs.sweep();
    await app.event("job_completed", delayed.id);
    expect(await app.row(delayed.id)).toMatchObject({ attempt: 1 });
  });

  it("[JOB47] runs after the queue lost the job of a worker that died", async () => {
    const { handlers } = await open();
    handlers.set("slow", ({ attempt }) => (attempt === 1 ? never() : attempt));
    await app.worker({ timings: { leaseMs: 100, renewMs: 60_000 } });
    const ada = await app.user();
    const job = await app.task(ada, "slow");
    await app.event("job_started", job.id);
    if (app.store.address.kind !== "postgres") throw new Error("another store");
    const client = await connectClient(app.store.address.connection);
    await client.query("truncate bullmq.job cascade");
    await client.end();
    await app.worker();
    await eventually(async () => {
      await longAgo();
      await app.parts.jobs.sweep();
      expect(await app.row(job.id)).toMatchObject({ status: "completed", attempt: 2 });
    });
  });

  it("[JOB48] runs although the queue was away and the process that answered is gone", async () => {
    const { handlers, projects, store, queueName, pubsub } = await open({ dispatching: false });
    handlers.set("quick", () => "ran");
    await app.parts.queue.close();
    const ada = await app.user();
    const now = await app.task(ada, "quick");
    const later = await app.task(ada, "quick", { options: { delayMs: 1 } });
    const restarted = createJobParts({
      database: projects.database,
      address: store.address,
      queueName,
      pubsub,
      handlers,
    });
    const worker = restarted.jobs.createWorker({ concurrency: 2 });
    await worker.start();
    await restarted.jobs.sweep();
    await eventually(async () => {
      expect(await app.row(now.id)).toMatchObject({ status: "completed", attempt: 1 });
      expect(await app.row(later.id)).toMatchObject({ status: "completed", attempt: 1 });
    });
    await worker.stop(0);
    await restarted.close();
  });

  it("[JOB55] keeps its result although the database is away when the run ends", async () => {
    const { handlers, connection, store, queueName, pubsub } = await open();
    const gate = createGate();
    handlers.set("slow", async ({ log }) => {
      await gate.opened;
      log("stdout", "said meanwhile");
      return "kept";
    });
    const { target, through } = doorFor(connection);
    const door = await startTcpProxy(target);
    const database = createPostgresDatabase({
      connection: through(door.port),
      onError: () => undefined,
    });
    const apart = createJobParts({ database, address: store.address, queueName, pubsub, handlers });
    const worker = apart.jobs.createWorker({ concurrency: 1, timings: { writePatienceMs: 20_000 } });
    await worker.start();
    const ada = await app.user();
    const job = await app.task(ada, "slow");
    await app.event("job_started", job.id);
    await door.stop();
    gate.open();
    const failed = database.ping().then(
      () => false,
      () => true,
    );
    expect(await failed).toBe(true);
    await door.restore();
    await app.event("job_completed", job.id);
    expect(await app.read(ada, job.id)).toMatchObject({ attempt: 1, result: { value: "kept" } });
    const { body } = await app.call("GET", `/jobs/${job.id}/logs`, { as: ada });
    expect(body.logs.map(({ text }) => text)).toEqual(["said meanwhile"]);
    await worker.stop(0);
    await apart.close();
    await database.close();
    await door.close();
  });

  it("[JOB49] is handed over by the events alone when the short cut fails", async () => {
    const { handlers, parts } = await open({ dispatching: false });
    handlers.set("quick", () => "ran");
    const { enqueue } = parts.queue;
    parts.queue.enqueue = () => Promise.reject(new Error("away"));
    const ada = await app.user();
    const job = await app.task(ada, "quick");
    const delayed = await app.task(ada, "quick", { options: { delayMs: 50 } });
    expect((await app.row(job.id)).enqueued_at).toBeNull();
    await app.dispatch();
    parts.queue.enqueue = enqueue;
    await app.worker();
    await app.event("job_completed", job.id);
    await app.event("job_completed", delayed.id);
  });
});
