import { describe, expect, it } from "@jest/globals";
import { AppError, dependencyUnavailable } from "../errors.js";
import type { EventLog } from "../platform/event-log/event-log.js";
import { watchStore } from "./store-health.js";

function bench() {
  const told: string[] = [];
  const waiting: { resolve(): void; reject(error: Error): void }[] = [];
  const call = () =>
    new Promise<{ epoch: string; seq: number }>((resolve, reject) => {
      waiting.push({ resolve: () => resolve({ epoch: "e", seq: 0 }), reject });
    });
  const log = { position: call } as unknown as EventLog;
  const health = watchStore(log, (type, dependency) => told.push(`${type} ${dependency}`));
  return { told, waiting, health };
}

describe("watchStore", () => {
  it("[RT92] says once that the store is away and once that it is back, whatever many calls meet", async () => {
    const { told, waiting, health } = bench();
    const calls = [1, 2, 3].map(() => health.log.position("s"));
    for (const { reject } of waiting.splice(0)) reject(dependencyUnavailable("redis"));
    await Promise.allSettled(calls);
    expect(told).toEqual(["server.degraded redis"]);
    expect(health.away).toBe("redis");
    const later = [1, 2].map(() => health.log.position("s"));
    for (const { resolve } of waiting.splice(0)) resolve();
    await Promise.all(later);
    expect(told).toEqual(["server.degraded redis", "server.recovered redis"]);
    expect(health.away).toBeUndefined();
  });

  it("[RT92] an answer to what was asked before the failure proves nothing", async () => {
    const { told, waiting, health } = bench();
    const [early, failing] = [health.log.position("s"), health.log.position("s")];
    waiting[1]?.reject(dependencyUnavailable("redis"));
    await Promise.allSettled([failing]);
    waiting[0]?.resolve();
    await early;
    expect(told).toEqual(["server.degraded redis"]);
  });

  it("[RT92] other errors say nothing about the store, and every error reaches the caller", async () => {
    const { told, waiting, health } = bench();
    const call = health.log.position("s");
    waiting[0]?.reject(new AppError("bad_request"));
    await expect(call).rejects.toMatchObject({ code: "bad_request" });
    expect(told).toEqual([]);
  });
});
