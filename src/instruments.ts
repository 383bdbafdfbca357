import type { Documents, DocumentsObserver } from "./documents/documents.js";
import type { RequestObservation } from "./http/server.js";
import type { JobObservation } from "./jobs/run.js";
import { createMetrics } from "./platform/observability/metrics.js";
import type { Hub } from "./realtime/hub.js";
import type { RealtimeDeps } from "./realtime/realtime.js";

/** Where features report to, and `/metrics` reads from. */
export interface Instruments {
  readonly httpRequest: (observation: RequestObservation) => void;
  readonly httpInFlight: (change: 1 | -1) => void;
  readonly rateLimitRefused: (policy: string) => void;
  readonly jobRun: (observation: JobObservation) => void;
  readonly sockets: RealtimeDeps["observer"];
  readonly documents: DocumentsObserver;
  /** What is asked for at each scrape rather than counted. */
  watch(sources: {
    readonly outboxLag: () => Promise<number>;
    readonly jobs: () => Promise<Readonly<Record<string, number>>>;
    readonly hub: Hub | undefined;
    readonly documents: Pick<Documents, "rooms" | "log">;
  }): void;
  render(): Promise<{ readonly contentType: string; readonly text: string }>;
}

/** Translates observations of features into metrics. */
export function createInstruments(): Instruments {
  const metrics = createMetrics();
  let sources: Parameters<Instruments["watch"]>[0] | undefined;

  async function collect(): Promise<void> {
    if (!sources) return;
    const { outboxLag, jobs, hub, documents } = sources;
    metrics.documentsOpen.set(documents.rooms.count);
    metrics.pendingAppends.set(documents.log.waiting);
    metrics.pendingAppendBytes.set(documents.log.waitingBytes);
    // A store that is away leaves its gauge as it was; /readyz says that it is away.
    await Promise.allSettled([
      outboxLag().then((lag) => metrics.outboxLag.set(lag)),
      jobs().then((counts) => {
        for (const [state, count] of Object.entries(counts)) metrics.jobsQueued.set({ state }, count);
      }),
    ]);
    if (!hub) return;
    metrics.rooms.set([...hub.rooms()].length);
    let queued = 0;
    for (const peer of hub.peers()) queued += peer.transport.queuedBytes;
    metrics.queuedBytes.set(queued);
  }

  return {
    httpRequest({ method, route, status, seconds }) {
      metrics.httpRequests.inc({ method, route, status });
      metrics.httpSeconds.observe({ method, route }, seconds);
    },
    rateLimitRefused: (policy) => metrics.rateLimitRefusals.inc({ policy }),
    httpInFlight: (change) => metrics.httpInFlight.inc(change),
    jobRun({ type, status, seconds, waitedSeconds }) {
      metrics.jobRuns.inc({ type, outcome: status });
      metrics.jobWaitSeconds.observe({ type }, waitedSeconds);
      metrics.jobSeconds.observe({ type }, seconds);
    },
    sockets: {
      opened() {
        metrics.socketConnections.inc();
        metrics.socketsOpened.inc();
      },
      closed(code) {
        metrics.socketConnections.dec();
        metrics.socketCloses.inc({ code });
      },
      refused: (status) => metrics.socketsRefused.inc({ status }),
      delivered(count, bytes) {
        metrics.deliveries.inc(count);
        metrics.deliveredBytes.inc(bytes);
      },
      droppedEphemeral: (count) => metrics.droppedEphemeral.inc(count),
      gapRepaired: (outcome) => metrics.gapRepairs.inc({ outcome }),
      resumed: (outcome) => metrics.resumes.inc({ outcome }),
      acked: (ms) => metrics.ackSeconds.observe(ms / 1_000),
    },
    documents: {
      delivered(count, bytes) {
        metrics.deliveries.inc(count);
        metrics.deliveredBytes.inc(bytes);
      },
      acked: (ms) => metrics.documentAckSeconds.observe(ms / 1_000),
      gapRepaired: (outcome) => metrics.gapRepairs.inc({ outcome }),
      appended: (batchSize) => metrics.appendBatchSize.observe(batchSize),
      compacted(outcome, seconds) {
        metrics.compactions.inc({ outcome });
        metrics.compactionSeconds.observe(seconds);
      },
    },
    watch(given) {
      sources = given;
    },
    async render() {
      await collect();
      return metrics.render();
    },
  };
}
