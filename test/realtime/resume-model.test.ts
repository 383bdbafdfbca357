import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import type { EventLog } from "../../src/platform/event-log/event-log.js";
import { createMemoryEventLog } from "../../src/platform/event-log/memory.js";
import { createMemoryPubSub } from "../../src/platform/pubsub/memory.js";
import { BREAKAGES } from "../kit/resume-breakages.js";
import { holdsOver, type ModelStore, modelRuns } from "../kit/resume-model.js";

const runs = modelRuns(60);
const TIMEOUT_MS = 120_000;

function openMemoryStore(): ModelStore {
  const pubsub = createMemoryPubSub({
    onError: (error) => {
      throw error;
    },
  });
  let log: EventLog | undefined;
  return {
    openLog(_node, window) {
      log ??= createMemoryEventLog({
        pubsub,
        clock: { now: () => 0 },
        window: { maxEntries: window, maxAgeMs: 1e9 },
      });
      return log;
    },
    pubsub: () => pubsub,
    lose: async () => log?.close(),
    close: () => pubsub.close(),
  };
}

describe(`resume in one process, against a model (MODEL_SEED=${runs.seed})`, () => {
  it(
    "[RT20] many clients, lost, doubled and reordered messages, lost history, node deaths: every event once and in order",
    () => fc.assert(holdsOver(openMemoryStore, 10_000), runs),
    TIMEOUT_MS,
  );

  it(
    "[RT21] the same with a window that is too small: an explicit resync, never a silent hole",
    () => fc.assert(holdsOver(openMemoryStore, 6), runs),
    TIMEOUT_MS,
  );

  it.each(BREAKAGES.map((broken) => [broken.name, broken] as const))(
    "[RT22] the model notices a build that %s",
    async (_name, broken) => {
      const outcome = await fc.check(holdsOver(openMemoryStore, 10_000, broken), {
        ...runs,
        numRuns: 200,
        endOnFailure: true,
      });
      expect(outcome.failed).toBe(true);
    },
    TIMEOUT_MS,
  );
});
