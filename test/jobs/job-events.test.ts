import { afterEach, describe, expect, it } from "@jest/globals";
import type { AuthzEntry } from "../../src/events/authz-log.js";
import type { EventStream } from "../kit/event-stream.js";
import { createJobApp, type JobApp, type JobAppOptions, never } from "../kit/job-app.js";
import { createGate } from "../kit/job-queue.js";

let app: JobApp;
afterEach(() => app.close());

async function open(options: JobAppOptions = {}): Promise<JobApp> {
  app = await createJobApp(options);
  return app;
}

const named = (name: string) => (event: { name: string }) => event.name === name;
const seqsOf = (stream: EventStream) =>
  stream.events
    .filter(named("log"))
    .flatMap(({ data }) => data["entries"].map((entry: { seq: number }) => entry.seq));
/** An access log that says what a test wants it to say. */
function createTestWatch() {
  const listeners: ((entries: readonly AuthzEntry[]) => void | Promise<void>)[] = [];
  let seq = 0;
  const watch = {
    isFresh: true,
    onChange: (listener: (typeof listeners)[number]) => void listeners.push(listener),
    fresh: () => watch.isFresh,
    async say(kind: AuthzEntry["kind"], subject: string, projectId: string | null = null) {
      seq += 1;
      const entry = { seq, kind, subject, projectId, reason: "test", createdAt: Date.now() };
      await Promise.all(listeners.map(async (listener) => listener([entry])));
    },
  };
  return watch;
}

describe("following a job", () => {
  it("[JOB100] tells what it says and how it stands, in order, until it has ended", async () => {
    const { handlers } = await open();
    const gate = createGate();
    handlers.set("talk", async ({ log, progress }) => {
      log("stdout", "one\n");
      log("stderr", "two\n");
      progress(40, "working");
      await gate.opened;
      log("stdout", "three\n");
      return 7;
    });
    const ada = await app.user();
    const job = await app.task(ada, "talk");
    const stream = await app.follow(ada, job.id);
    expect([stream.status, stream.headers.get("content-type")]).toEqual([
      200,
      expect.stringContaining("text/event-stream"),
    ]);
    expect((await stream.next(named("job"))).data["job"]).toMatchObject({ id: job.id, status: "pending" });
    await app.worker();
    await stream.next(({ name, data }) => name === "job" && data["job"].progress === 40);
    await stream.next(named("log"));
    gate.open();
    const end = await stream.next(named("end"));
    expect(end.data["job"]).toMatchObject({ status: "completed", progress: 100 });
    expect(end.data["job"]).not.toHaveProperty("result");
    await stream.ended;
    expect(stream.output).toBe("one\ntwo\nthree\n");
    expect(seqsOf(stream)).toEqual([1, 2, 3]);
    expect(stream.events.at(-1)?.name).toBe("end");
    expect(end.id).toBe("3-end");
  });

  it("[JOB101] goes on after the last event a client had, and answers 204 when it has had all", async () => {
    const { handlers } = await open();
    handlers.set("talk", ({ log }) => {
      for (let i = 1; i <= 100; i += 1) log(i % 2 ? "stdout" : "stderr", `${i}\n`);
    });
    await app.worker();
    const ada = await app.user();
    const job = await app.task(ada, "talk");
    await app.event("job_completed", job.id);
    const whole = await app.follow(ada, job.id);
    await whole.ended;
    expect(seqsOf(whole)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
    const rest = await app.follow(ada, job.id, "97");
    await rest.ended;
    expect(seqsOf(rest)).toEqual([98, 99, 100]);
    expect((await app.follow(ada, job.id, "100-end")).status).toBe(204);
    const wrong = await app.follow(ada, job.id, "x");
    expect([wrong.status, wrong.problem?.["errors"][0].pointer]).toEqual([400, "Last-Event-ID"]);
  });

  it("[JOB102] is for those who may see the job, and for so many jobs at once", async () => {
    const { handlers } = await open({ streamsPerUser: 2 });
    handlers.set("hang", never);
    const [ada, eve] = [await app.user(), await app.user()];
    const job = await app.task(ada, "hang");
    expect((await app.follow(eve, job.id)).status).toBe(404);
    expect((await app.call("GET", `/jobs/${job.id}/events`)).status).toBe(401);
    const first = await app.follow(ada, job.id);
    await app.follow(ada, job.id);
    const third = await app.follow(ada, job.id);
    expect([third.status, third.problem?.["code"], third.headers.get("retry-after")]).toEqual([
      429,
      "quota_exceeded",
      "10",
    ]);
    first.close();
    let again = await app.follow(ada, job.id);
    while (again.status !== 200) again = await app.follow(ada, job.id);
  });

  it("[JOB103] ends at once when the session ends or the project is left, before the change counts as applied", async () => {
    const authzWatch = createTestWatch();
    const { handlers, projects } = await open({ authzWatch });
    const gate = createGate();
    handlers.set("talk", async ({ log }) => {
      await gate.opened;
      log("stdout", "secret");
      await never();
    });
    await app.worker();
    const [ada, bob] = [await app.user(), await app.user()];
    const projectId = await projects.project(ada, [[bob, "viewer"]]);
    const job = await app.task(ada, "talk", { projectId });
    const streams = [await app.follow(bob, job.id), await app.follow(ada, job.id)] as const;
    for (const stream of streams) await stream.next(named("job"));
    const removed = await projects.call("DELETE", `/projects/${projectId}/members/${bob.id}`, { as: ada });
    expect(removed.status).toBe(204);
    await authzWatch.say("membership", bob.id, projectId);
    await authzWatch.say("session", ada.id);
    gate.open();
    for (const stream of streams) {
      expect((await stream.next(named("closed"))).data).toEqual({ reason: "revoked" });
      await stream.ended;
      expect(stream.output).toBe("");
    }
    expect((await app.follow(bob, job.id)).status).toBe(404);
  });

  it("[JOB104] says nothing while the access log cannot be read, and goes on when it can", async () => {
    const authzWatch = createTestWatch();
    const { handlers } = await open({ authzWatch });
    const gate = createGate();
    handlers.set("talk", async ({ log }) => {
      await gate.opened;
      log("stdout", "late");
    });
    await app.worker();
    const ada = await app.user();
    const job = await app.task(ada, "talk");
    const stream = await app.follow(ada, job.id);
    await stream.next(named("job"));
    authzWatch.isFresh = false;
    gate.open();
    await app.event("job_completed", job.id);
    const before = stream.events.length;
    expect(stream.output).toBe("");
    authzWatch.isFresh = true;
    await stream.next(named("end"));
    expect(before).toBeLessThan(stream.events.length);
    expect(stream.output).toBe("late");
  });

  it("[JOB105] ends with the node, and the client is told to come again", async () => {
    const { handlers, parts } = await open();
    handlers.set("hang", never);
    const ada = await app.user();
    const job = await app.task(ada, "hang");
    const stream = await app.follow(ada, job.id);
    await stream.next(named("job"));
    parts.jobs.endStreams();
    expect((await stream.next(named("closed"))).data).toEqual({ reason: "restart" });
    await stream.ended;
    const refused = await app.follow(ada, job.id);
    expect([refused.status, refused.problem?.["code"]]).toEqual([503, "shutting_down"]);
  });

  it("[JOB106] finds what no bell announced, and a flood reaches a client that reads slowly whole", async () => {
    const { handlers, pubsub } = await open();
    pubsub.publish = () => Promise.reject(new Error("the link is away"));
    handlers.set("flood", ({ log }) => {
      for (let i = 0; i < 100; i += 1) log("stdout", `${i} ${"x".repeat(9_000)}\n`);
    });
    await app.worker();
    const ada = await app.user();
    const job = await app.task(ada, "flood", { options: { delayMs: 300 } });
    const stream = await app.follow(ada, job.id);
    await stream.next(named("end"));
    expect(
      stream.output
        .split("\n")
        .map((line) => Number.parseInt(line, 10))
        .slice(0, 100),
    ).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });
});
