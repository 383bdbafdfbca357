/**
 * A worker process to be killed: consumes the queue described by its first argument (JSON) with the real adapter and
 * tells its parent what it is told. It never ends a job.
 */
import { type BullmqJobQueueOptions, createBullmqJobQueue } from "../../src/platform/job-queue/bullmq.js";
import { openBackend, type StoreAddress } from "./job-queue-stores.js";

const { address, ...options } = JSON.parse(process.argv[2] ?? "{}") as Omit<
  BullmqJobQueueOptions,
  "onError" | "backend"
> & { readonly address: StoreAddress };

createBullmqJobQueue({
  ...options,
  backend: openBackend(address).backend,
  onError: (error) => process.send?.({ error: error.message }),
}).consume({
  concurrency: 1,
  process: ({ jobId, generation }) => {
    process.send?.({ started: { jobId, generation } });
    return new Promise(() => {});
  },
  onCrashed: (crashed) => {
    process.send?.({ crashed });
    return Promise.resolve();
  },
});
