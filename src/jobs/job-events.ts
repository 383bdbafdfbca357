import { AppError } from "../errors.js";
import { type AuthzEntry, concerns } from "../events/authz-log.js";
import type { AuthzWatch } from "../events/authz-watch.js";
import type { OpenStream, Principal } from "../http/route.js";
import type { Clock } from "../platform/clock.js";
import type { JobBell, JobListener } from "./job-bell.js";
import { endId, HEARTBEAT, positionOf, RETRY, serverSentEvent } from "./job-event-text.js";
import type { JobLog, JobSummary } from "./schema.js";

/** Follows jobs for clients: what a job says and how it stands, as it happens, until it has ended. */
export interface JobEvents {
  /**
   * Begins after the log entry that `lastEventId` names. Undefined when the client has had all there is.
   *
   * @throws AppError `not_found`, `validation_failed`, `quota_exceeded`, `overloaded`, `shutting_down`.
   */
  open(principal: Principal, jobId: string, lastEventId: string | undefined): Promise<OpenStream | undefined>;
  /** Ends every stream and refuses new ones; the clients come back to another node. */
  close(): void;
}

/** What a follower reads; each read is refused with `not_found` when the actor may not see the job (any more). */
export interface JobReads {
  /** The job as its list shows it. */
  glance(actor: string, jobId: string): Promise<JobSummary>;
  /** Without asking for rights again. */
  summary(jobId: string): Promise<JobSummary | undefined>;
  logsAfter(jobId: string, seq: number, limit: number): Promise<JobLog[]>;
}

/** Why a stream ends before its job does. */
type Ended = "revoked" | "restart" | "token";

/** One client that follows a job. */
interface Follower {
  readonly userId: string;
  readonly sessionId: string;
  readonly projectId: string | null;
  readonly jobId: string;
  readonly stop: AbortController;
  ended: Ended | undefined;
  /** A look at the client's rights that is under way; nothing is written meanwhile. */
  review: Promise<void> | undefined;
}

/** Entries read at once; with those of the log's bound this is what a slow client costs in memory. */
const PAGE = 32;
/** How often a job is looked at although no bell rang. */
const LOOK_MS = 1_000;
/** Shortest time between two looks: 20 a second. */
const GATHER_MS = 50;
const HEARTBEAT_MS = 15_000;
/** Streams of one node. */
const NODE_LIMIT = 2_000;
/** A place is given back when its stream has not begun by then. */
const START_MS = 5_000;
/** A stream lasts so long at most, whatever its token says. */
const LONGEST_MS = 86_400_000;
/** How long a change of access is remembered for streams that are being opened. */
const OPENING_MS = 60_000;

/** The followers of this node. They read the database, each piece once for all who are equally far. */
export function createJobEvents(deps: {
  reads: JobReads;
  bell: Pick<JobBell, "listen">;
  authzWatch: Pick<AuthzWatch, "onChange" | "fresh">;
  clock: Clock;
  streamsPerUser: number;
}): JobEvents {
  const { reads, bell, authzWatch, clock } = deps;
  const followers = new Set<Follower>();
  const recent = new Map<string, number>();
  const shared = createSharedReads();
  let closed = false;

  function end(follower: Follower, why: Ended): void {
    follower.ended ??= why;
    follower.stop.abort();
  }

  authzWatch.onChange(async (entries) => {
    remember(entries);
    const reviews: Promise<void>[] = [];
    for (const follower of followers) {
      for (const entry of entries.filter((each) => concerns(each, follower))) {
        if (entry.kind === "membership") reviews.push(review(follower));
        else end(follower, "revoked");
      }
    }
    await Promise.all(reviews);
  });

  function remember(entries: readonly AuthzEntry[]): void {
    const now = performance.now();
    for (const [subject, at] of recent) if (now - at > OPENING_MS) recent.delete(subject);
    for (const { kind, subject } of entries)
      if (kind === "session" || kind === "user") recent.set(subject, now);
  }

  /** Asks again whether the client may see the job; when that cannot be asked, the client has to come again. */
  function review(follower: Follower): Promise<void> {
    const asked = reads.glance(follower.userId, follower.jobId).then(
      () => undefined,
      (error: unknown) => {
        const gone = error instanceof AppError && error.code === "not_found";
        end(follower, gone ? "revoked" : "restart");
      },
    );
    const all = Promise.all([follower.review, asked]).then(() => {
      if (follower.review === all) follower.review = undefined;
    });
    follower.review = all;
    return all;
  }

  function takePlace(userId: string): void {
    if (closed) throw new AppError("shutting_down", { headers: { "Retry-After": "2" } });
    if (followers.size >= NODE_LIMIT) throw new AppError("overloaded", { headers: { "Retry-After": "5" } });
    let own = 0;
    for (const follower of followers) if (follower.userId === userId) own += 1;
    if (own < deps.streamsPerUser) return;
    throw new AppError("quota_exceeded", {
      detail: `An account follows at most ${deps.streamsPerUser} jobs at once.`,
      headers: { "Retry-After": "10" },
      extensions: { quota: "job_streams", limit: deps.streamsPerUser },
    });
  }

  async function* follow(
    follower: Follower,
    after: number,
    gone: AbortSignal,
    expiresAt = Number.POSITIVE_INFINITY,
  ): AsyncGenerator<string> {
    const listener = bell.listen(follower.jobId);
    const expiry = setTimeout(() => end(follower, "token"), Math.min(LONGEST_MS, expiresAt - clock.now()));
    const signal = AbortSignal.any([gone, follower.stop.signal]);
    try {
      yield RETRY;
      yield* tell(follower, listener, after, signal);
    } finally {
      clearTimeout(expiry);
      listener.end();
      followers.delete(follower);
    }
    if (follower.ended && !gone.aborted) yield serverSentEvent("closed", { reason: follower.ended });
  }

  async function* tell(
    follower: Follower,
    listener: JobListener,
    start: number,
    signal: AbortSignal,
  ): AsyncGenerator<string> {
    let after = start;
    let version = 0;
    let saidAt = performance.now();
    while (!signal.aborted) {
      const look = await lookAt(follower, listener, after);
      await follower.review;
      if (signal.aborted) return;
      if (look === "gone") return end(follower, "revoked");
      if (look === "unknown") {
        // The database or the access log is away: nothing of the job is said until it is back.
        if (performance.now() - saidAt > HEARTBEAT_MS) {
          saidAt = performance.now();
          yield HEARTBEAT;
        }
        await pause(LOOK_MS, signal);
        continue;
      }
      const { job, logs } = look;
      const text: string[] = [];
      const more = logs.length === PAGE;
      const over = job.finishedAt !== null && !more;
      if (job.version !== version && !over) text.push(serverSentEvent("job", { job }));
      version = job.version;
      after = logs.at(-1)?.seq ?? after;
      if (logs.length > 0) text.push(serverSentEvent("log", { entries: logs }, String(after)));
      if (over) text.push(serverSentEvent("end", { job }, endId(after)));
      if (text.length === 0 && performance.now() - saidAt > HEARTBEAT_MS) text.push(HEARTBEAT);
      if (text.length > 0) {
        saidAt = performance.now();
        yield text.join("");
      }
      if (over) return;
      if (more) continue;
      await pause(GATHER_MS, signal);
      await listener.next(LOOK_MS, signal);
    }
  }

  /** The job first: what it said before it ended is in the log then. */
  async function lookAt(
    { jobId }: Follower,
    listener: JobListener,
    after: number,
  ): Promise<{ readonly job: JobSummary; readonly logs: JobLog[] } | "gone" | "unknown"> {
    if (!authzWatch.fresh()) return "unknown";
    const { rings } = listener;
    try {
      return await shared(`${jobId} ${after} ${rings}`, async () => {
        const job = await reads.summary(jobId);
        if (!job) return "gone" as const;
        return { job, logs: await reads.logsAfter(jobId, after, PAGE) };
      });
    } catch {
      return "unknown";
    }
  }

  return {
    async open(principal, jobId, lastEventId) {
      const position = positionOf(lastEventId);
      const { userId, sessionId, expiresAt } = principal;
      const job = await reads.glance(userId, jobId);
      if (position.ended && job.finishedAt !== null) return undefined;
      takePlace(userId);
      const follower: Follower = {
        userId,
        sessionId,
        projectId: job.projectId,
        jobId,
        stop: new AbortController(),
        ended: undefined,
        review: undefined,
      };
      followers.add(follower);
      const unused = setTimeout(() => followers.delete(follower), START_MS);
      return (gone) => {
        clearTimeout(unused);
        if (!followers.has(follower)) end(follower, "restart");
        if (recent.has(sessionId) || recent.has(userId)) end(follower, "revoked");
        // What was taken away between the look and now was told to nobody.
        void review(follower);
        return follow(follower, position.after, gone, expiresAt);
      };
    },
    close() {
      closed = true;
      for (const follower of followers) end(follower, "restart");
    },
  };
}

/** Reads that are under way, shared by all who ask for the same. */
function createSharedReads(): <R>(key: string, read: () => Promise<R>) => Promise<R> {
  const underWay = new Map<string, Promise<unknown>>();
  return <R>(key: string, read: () => Promise<R>) => {
    const known = underWay.get(key) as Promise<R> | undefined;
    if (known) return known;
    const started = read().finally(() => underWay.delete(key));
    underWay.set(key, started);
    return started;
  };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}
