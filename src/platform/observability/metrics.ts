import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** Every metric of the service, in one place; names and labels are documented in docs/operations.md. */
export interface Metrics {
  readonly httpInFlight: Gauge;
  readonly httpRequests: Counter<"method" | "route" | "status">;
  readonly httpSeconds: Histogram<"method" | "route">;
  readonly rateLimitRefusals: Counter<"policy">;
  readonly outboxLag: Gauge;
  readonly jobRuns: Counter<"type" | "outcome">;
  readonly jobSeconds: Histogram<"type">;
  readonly jobWaitSeconds: Histogram<"type">;
  readonly jobsQueued: Gauge<"state">;
  readonly socketConnections: Gauge;
  readonly socketsOpened: Counter;
  readonly socketsRefused: Counter<"status">;
  readonly socketCloses: Counter<"code">;
  readonly deliveries: Counter;
  readonly deliveredBytes: Counter;
  readonly droppedEphemeral: Counter;
  readonly ackSeconds: Histogram;
  readonly appendBatchSize: Histogram;
  readonly documentAckSeconds: Histogram;
  readonly documentsOpen: Gauge;
  readonly pendingAppends: Gauge;
  readonly pendingAppendBytes: Gauge;
  readonly compactions: Counter<"outcome">;
  readonly compactionSeconds: Histogram;
  readonly gapRepairs: Counter<"outcome">;
  readonly resumes: Counter<"outcome">;
  readonly rooms: Gauge;
  readonly queuedBytes: Gauge;
  /** The Prometheus text of all of them. */
  render(): Promise<{ readonly contentType: string; readonly text: string }>;
}

/** How often the event-loop lag is looked at. */
const EVENT_LOOP_SAMPLE_MS = 50;
/** How long a request, a query or a message takes, in seconds. */
const QUICK = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
/** The same for jobs. */
const SLOW = [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const BATCH = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/**
 * Metrics in a registry of their own, so that two apps can run in one process. Those of the process itself (memory, CPU,
 * handles, event-loop lag) have prom-client's names, for which dashboards exist.
 */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  // Its timer wakes the process; at the default of every 10 ms that is most of what an idle one does.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_SAMPLE_MS });
  const counter = <L extends string = never>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter<L>({ name: `atelier_${name}`, help, labelNames, registers });
  const gauge = <L extends string = never>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge<L>({ name: `atelier_${name}`, help, labelNames, registers });
  const histogram = <L extends string = never>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: readonly L[] = [],
  ) => new Histogram<L>({ name: `atelier_${name}`, help, labelNames, buckets, registers });
  return {
    httpInFlight: gauge("http_requests_in_flight", "HTTP requests being answered."),
    httpRequests: counter("http_requests_total", "Answered HTTP requests.", ["method", "route", "status"]),
    httpSeconds: histogram("http_request_seconds", "Time to answer an HTTP request.", QUICK, [
      "method",
      "route",
    ]),
    rateLimitRefusals: counter("rate_limit_refusals_total", "Requests refused by a rate limit.", ["policy"]),
    outboxLag: gauge("outbox_lag_events", "Committed events the slowest consumer has not handled yet."),
    jobRuns: counter("job_runs_total", "Ended runs of jobs.", ["type", "outcome"]),
    jobSeconds: histogram("job_run_seconds", "Time one run of a job took.", SLOW, ["type"]),
    jobWaitSeconds: histogram("job_wait_seconds", "Time a job waited for its first run.", SLOW, ["type"]),
    jobsQueued: gauge("jobs_queued", "Jobs in the queue by state.", ["state"]),
    socketConnections: gauge("socket_connections", "Open sockets."),
    socketsOpened: counter("sockets_opened_total", "Accepted sockets."),
    socketsRefused: counter("sockets_refused_total", "Refused upgrades by HTTP status.", ["status"]),
    socketCloses: counter("socket_closes_total", "Closed sockets by close code.", ["code"]),
    deliveries: counter("socket_deliveries_total", "Messages written to sockets."),
    deliveredBytes: counter("socket_delivered_bytes_total", "Bytes written to sockets."),
    droppedEphemeral: counter(
      "socket_dropped_ephemeral_total",
      "Ephemeral events not sent to clients that lag.",
    ),
    ackSeconds: histogram("socket_ack_seconds", "Time from a message to its ack.", QUICK),
    appendBatchSize: histogram("update_append_batch_size", "Updates committed together.", BATCH),
    documentAckSeconds: histogram(
      "document_ack_seconds",
      "Time from an edit to its commit and acknowledgement.",
      QUICK,
    ),
    documentsOpen: gauge("documents_open", "Documents in memory on this node."),
    pendingAppends: gauge("updates_pending", "Edits that wait for their commit."),
    pendingAppendBytes: gauge("updates_pending_bytes", "Bytes of edits that wait for their commit."),
    compactions: counter("document_compactions_total", "Ended compactions of documents.", ["outcome"]),
    compactionSeconds: histogram("document_compaction_seconds", "Time one compaction took.", SLOW),
    gapRepairs: counter("event_gap_repairs_total", "Holes in pub/sub found, by outcome.", ["outcome"]),
    resumes: counter("socket_resumes_total", "Resumed connections, by outcome.", ["outcome"]),
    rooms: gauge("rooms_open", "Projects with a room on this node."),
    queuedBytes: gauge("socket_queued_bytes", "Bytes waiting for clients to read."),
    async render() {
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}
