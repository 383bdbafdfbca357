import { describe, expect, it } from "@jest/globals";
import { createMemoryPubSub } from "../pubsub/memory.js";
import { createMemoryEventLog } from "./memory.js";

function rethrow(error: unknown): never {
  throw error;
}

describe("the bound of the event log in memory", () => {
  it("[EL12] over its bound of characters it drops the stream unused for longest", async () => {
    const pubsub = createMemoryPubSub({ onError: rethrow });
    const log = createMemoryEventLog({ pubsub, clock: { now: () => 0 }, maxCharacters: 100 });
    const old = await log.append("old", "1", "x".repeat(40));
    const young = await log.append("young", "1", "x".repeat(40));
    await log.append("young", "2", "x".repeat(30));
    expect((await log.position("old")).epoch).not.toBe(old.epoch);
    expect(await log.readAfter("young", { epoch: young.epoch, seq: 0 })).toMatchObject({ complete: true });
  });

  it("[EL12] a single stream over the bound loses its oldest entries", async () => {
    const pubsub = createMemoryPubSub({ onError: rethrow });
    const log = createMemoryEventLog({ pubsub, clock: { now: () => 0 }, maxCharacters: 100 });
    const { epoch } = await log.append("one", "1", "x".repeat(60));
    await log.append("one", "2", "x".repeat(60));
    expect(await log.readAfter("one", { epoch, seq: 0 })).toMatchObject({ complete: false });
    expect(await log.readAfter("one", { epoch, seq: 1 })).toMatchObject({ complete: true });
  });
});
