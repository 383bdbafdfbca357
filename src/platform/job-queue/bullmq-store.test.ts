import { describe, expect, it } from "@jest/globals";
import { createFaultReporter, settledWithin, within } from "./bullmq-store.js";

describe("faults behind the job queue", () => {
  it("[JQ26] are told once per message and quiet time, whatever was thrown", () => {
    const told: string[] = [];
    const report = createFaultReporter((error) => told.push(error.message), 60_000);
    for (let i = 0; i < 3; i += 1) {
      report(new Error("away"));
      report("a string");
      report(new AggregateError([new Error("::1"), new Error("127.0.0.1")]));
    }
    expect(told).toEqual(["away", "a string", ""]);
  });

  it("[JQ26] are told again when the quiet time is over", () => {
    const told: string[] = [];
    const report = createFaultReporter((error) => told.push(error.message), 0);
    report(new Error("away"));
    report(new Error("away"));
    expect(told).toEqual(["away", "away"]);
  });

  it("[JQ26] do no harm when the one who is told throws", () => {
    const report = createFaultReporter(() => {
      throw new Error("the log is broken");
    }, 0);
    expect(() => report(new Error("away"))).not.toThrow();
  });

  it("[JQ27] waiting ends with the work or with its time, whichever comes first", async () => {
    expect(await within(60_000, "late", Promise.resolve(1))).toBe(1);
    await expect(within(60_000, "late", Promise.reject(new Error("failed")))).rejects.toThrow("failed");
    await expect(within(1, "late", new Promise(() => {}))).rejects.toThrow("late");
    expect(await settledWithin(60_000, Promise.reject(new Error("failed")))).toBe(true);
    expect(await settledWithin(1, new Promise(() => {}))).toBe(false);
  });
});
