import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { serverMessages } from "../../src/realtime/protocol.js";
import { describeAdapter } from "../kit/adapters.js";
import type { Person } from "../kit/api.js";
import type { TestNode } from "../kit/app.js";
import { type Cluster, startCluster } from "../kit/cluster.js";
import { openEventStream } from "../kit/event-stream.js";
import { missingRedisServer } from "../kit/redis.js";
import type { Message, SocketClient } from "../kit/socket-client.js";

/** Prints lines over a while, so that output comes in many pieces. */
const TALKS = `
  for (let i = 0; i < 40; i += 1) {
    console.log("line " + i);
    if (i % 10 === 9) await new Promise((resolve) => setTimeout(resolve, 150));
  }`;

type Entry = { readonly seq: number; readonly text: string };
const payloadsOf = (client: SocketClient, type: string, jobId: string) =>
  client.messages
    .filter((message) => message.type === type)
    .map(
      (message) => message["payload"] as { jobId: string; after: number; lastSeq: number; entries: Entry[] },
    )
    .filter((payload) => payload.jobId === jobId);
const about = (type: string, jobId: string) => (message: Message) =>
  message.type === type && (message["payload"] as { jobId: string }).jobId === jobId;

describeAdapter("live output of jobs that run in a process apart", missingRedisServer(), () => {
  let cluster: Cluster;
  let one: TestNode;
  let two: TestNode;
  let ada: Person;
  let bob: Person;
  let eve: Person;
  let projectId: string;

  beforeAll(async () => {
    cluster = await startCluster();
    one = await cluster.node();
    two = await cluster.node();
    await cluster.worker();
    [ada, bob, eve] = [await one.api.person(), await one.api.person(), await one.api.person()];
    projectId = await one.api.project(ada, [[bob, "viewer"]]);
  });
  afterAll(() => cluster.close());

  async function submit(more: object = {}): Promise<string> {
    const body = { type: "code_execution", payload: { language: "javascript", code: TALKS }, ...more };
    const { body: answer } = await one.api.post("/jobs", body, ada.token);
    return answer["job"].id;
  }

  it("[JOB107] reaches the sockets of the project's members on every node, in order, and what is missing can be read", async () => {
    const sockets = [await one.socket(ada.token, projectId), await two.socket(bob.token, projectId)];
    const other = await two.socket(eve.token, await two.api.project(eve));
    const jobId = await submit({ projectId });
    for (const socket of sockets) {
      await socket.next(about("job_completed", jobId), 60_000);
      const seen: Entry[] = [];
      const logs = payloadsOf(socket, "job_log", jobId);
      expect(logs.length).toBeGreaterThan(0);
      for (const message of socket.messages.filter(about("job_log", jobId)))
        expect(serverMessages.job_log.safeParse(message).error).toBeUndefined();
      for (const { after, entries, lastSeq } of logs) {
        const last = seen.at(-1)?.seq ?? 0;
        expect(after).toBeGreaterThanOrEqual(last);
        expect(entries.map(({ seq }) => seq)).toEqual(entries.map((_, i) => after + 1 + i));
        expect(entries.at(-1)?.seq).toBe(lastSeq);
        seen.push(...entries);
      }
      const { body } = await two.api.get(`/jobs/${jobId}/logs?after=0`, bob.token);
      const kept = (body["logs"] as Entry[]).map(({ seq, text }) => ({ seq, text }));
      expect(kept).toEqual(expect.arrayContaining(seen.map(({ seq, text }) => ({ seq, text }))));
      expect(kept.map(({ text }) => text).join("")).toBe(
        Array.from({ length: 40 }, (_, i) => `line ${i}\n`).join(""),
      );
    }
    const progress = sockets[1]?.messages.filter(about("job_progress", jobId)) ?? [];
    expect(progress.length).toBeGreaterThan(0);
    for (const message of progress)
      expect(serverMessages.job_progress.safeParse(message).error).toBeUndefined();
    expect(other.messages.filter(({ type }) => type.startsWith("job_"))).toEqual([]);
  });

  it("[JOB108] of a job without a project reaches its owner by the stream of events alone", async () => {
    const socket = await one.socket(ada.token, projectId);
    const jobId = await submit();
    const stream = await openEventStream(`${two.httpUrl}/api/v1/jobs/${jobId}/events`, ada.token);
    expect((await openEventStream(`${two.httpUrl}/api/v1/jobs/${jobId}/events`, bob.token)).status).toBe(404);
    const end = await stream.next(({ name }) => name === "end");
    expect(end.data["job"].status).toBe("completed");
    expect(stream.output).toBe(Array.from({ length: 40 }, (_, i) => `line ${i}\n`).join(""));
    expect(stream.events.filter(({ name }) => name === "log").length).toBeGreaterThan(1);
    expect(payloadsOf(socket, "job_log", jobId)).toEqual([]);
  });
});
