/**
 * A worker process to be killed: runs jobs of the database and queue named by its first argument (JSON). The task `hang`
 * says that it has begun and never ends; `answer` gives back the id of this process.
 */
import { createPostgresDatabase } from "../../src/platform/database/postgres.js";
import type { PostgresConnection } from "../../src/platform/database/postgres-connection.js";
import { createMemoryPubSub } from "../../src/platform/pubsub/memory.js";
import { createJobParts, type TaskHandler, TEST_TIMINGS } from "./job-parts.js";
import type { StoreAddress } from "./job-queue-stores.js";

const { connection, address, queueName } = JSON.parse(process.argv[2] ?? "{}") as {
  readonly connection: PostgresConnection;
  readonly address: StoreAddress;
  readonly queueName: string;
};

const handlers = new Map<string, TaskHandler>([
  [
    "hang",
    (context) => {
      context.log("stdout", `attempt ${context.attempt}\n`);
      setTimeout(() => process.send?.({ attempt: context.attempt }), 400);
      return new Promise(() => {});
    },
  ],
]);
const { jobs } = createJobParts({
  database: createPostgresDatabase({ connection, onError: () => undefined }),
  address,
  queueName,
  pubsub: createMemoryPubSub({ onError: () => undefined }),
  handlers,
});
await jobs.createWorker({ concurrency: 2, timings: TEST_TIMINGS }).start();
