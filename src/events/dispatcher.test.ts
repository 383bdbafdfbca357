import { expect, it } from "@jest/globals";
import type { Database } from "../platform/database/database.js";
import { createNullLogger } from "../platform/observability/logger.js";
import type { DomainEvent } from "./catalog.js";
import { createDispatcher } from "./dispatcher.js";
import type { Outbox, OutboxReader } from "./outbox.js";

/** An outbox in memory whose poll never finds anything. */
function blindOutbox() {
  const events: DomainEvent[] = [];
  let committed: () => void = () => undefined;
  let cursor = 0;
  const outbox: Outbox & OutboxReader = {
    append: () => Promise.reject(new Error("not used")),
    onCommit: (listener) => {
      committed = listener;
    },
    waiting: async () => [],
    number: async () => true,
    pending: async () => events.filter(({ position }) => position > cursor),
    claim: async () => true,
    advance: async (_tx, _consumer, position) => {
      cursor = position;
    },
    register: async () => undefined,
    lag: async () => events.length - cursor,
    prune: async () => undefined,
  };
  return {
    outbox,
    commit(name: string) {
      const position = events.length + 1;
      events.push({
        id: name,
        position,
        type: "project_created",
        projectId: null,
        userId: null,
        payload: {},
        createdAt: 0,
      });
      committed();
    },
  };
}

it("[RT97] an event committed while its consumer is at work is handled next", async () => {
  const { outbox, commit } = blindOutbox();
  const handled: string[] = [];
  let finish: () => void = () => undefined;
  const second = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const database = { transaction: (work: (tx: unknown) => unknown) => work({}) } as unknown as Database;
  let looks = 0;
  const pending = outbox.pending.bind(outbox);
  const dispatcher = createDispatcher({
    database,
    logger: createNullLogger(),
    outbox: {
      ...outbox,
      async pending(...args) {
        const found = await pending(...args);
        looks += 1;
        // Committed after this look, and before the loop rests.
        if (looks === 1) commit("late");
        return found;
      },
    },
    consumers: [
      {
        name: "test",
        async handle(batch) {
          handled.push(...batch.map(({ id }) => id));
          if (handled.includes("late")) finish();
        },
      },
    ],
  });
  await dispatcher.start();
  await second;
  await dispatcher.stop();
  expect(handled).toEqual(["late"]);
});
