import { describe, expect, it } from "@jest/globals";
import { register } from "prom-client";
import { createMetrics } from "./metrics.js";

/** Every metric of our own, its kind and its labels: what dashboards and alerts rely on. */
const CATALOGUE: readonly (readonly [name: string, type: string, labels: readonly string[]])[] = [
  ["atelier_http_requests_in_flight", "gauge", []],
  ["atelier_http_requests_total", "counter", ["method", "route", "status"]],
  ["atelier_http_request_seconds", "histogram", ["method", "route"]],
  ["atelier_rate_limit_refusals_total", "counter", ["policy"]],
  ["atelier_outbox_lag_events", "gauge", []],
  ["atelier_job_runs_total", "counter", ["type", "outcome"]],
  ["atelier_job_run_seconds", "histogram", ["type"]],
  ["atelier_job_wait_seconds", "histogram", ["type"]],
  ["atelier_jobs_queued", "gauge", ["state"]],
  ["atelier_socket_connections", "gauge", []],
  ["atelier_sockets_opened_total", "counter", []],
  ["atelier_sockets_refused_total", "counter", ["status"]],
  ["atelier_socket_closes_total", "counter", ["code"]],
  ["atelier_socket_deliveries_total", "counter", []],
  ["atelier_socket_delivered_bytes_total", "counter", []],
  ["atelier_socket_dropped_ephemeral_total", "counter", []],
  ["atelier_socket_ack_seconds", "histogram", []],
  ["atelier_update_append_batch_size", "histogram", []],
  ["atelier_document_ack_seconds", "histogram", []],
  ["atelier_documents_open", "gauge", []],
  ["atelier_updates_pending", "gauge", []],
  ["atelier_updates_pending_bytes", "gauge", []],
  ["atelier_document_compactions_total", "counter", ["outcome"]],
  ["atelier_document_compaction_seconds", "histogram", []],
  ["atelier_event_gap_repairs_total", "counter", ["outcome"]],
  ["atelier_socket_resumes_total", "counter", ["outcome"]],
  ["atelier_rooms_open", "gauge", []],
  ["atelier_socket_queued_bytes", "gauge", []],
];

describe("metrics", () => {
  it("[MT1] are those of the catalogue, announced with help and type before anything was counted", async () => {
    const { contentType, text } = await createMetrics().render();
    expect(contentType).toBe("text/plain; version=0.0.4; charset=utf-8");
    const types = Object.fromEntries(
      [...text.matchAll(/^# TYPE (atelier_\w+) (\w+)$/gm)].map(([, name, type]) => [name, type]),
    );
    expect(types).toEqual(Object.fromEntries(CATALOGUE.map(([name, type]) => [name, type])));
    for (const [name] of CATALOGUE) expect(text).toMatch(new RegExp(`^# HELP ${name} \\S`, "m"));
  });

  it("[MT2] carry the labels of the catalogue and no others", async () => {
    const metrics = createMetrics();
    const labels: Record<string, readonly string[]> = {};
    for (const metric of Object.values(metrics)) {
      if (typeof metric === "function") continue;
      const { name, labelNames } = metric as unknown as { name: string; labelNames: string[] };
      labels[name] = labelNames;
    }
    expect(labels).toEqual(Object.fromEntries(CATALOGUE.map(([name, , names]) => [name, names])));
    expect(() => metrics.httpRequests.inc({ method: "GET", user: "ada" } as never)).toThrow();
  });

  it("[MT3] count, measure and sum up", async () => {
    const metrics = createMetrics();
    metrics.httpRequests.inc({ method: "GET", route: "/projects/:id", status: 200 });
    metrics.httpSeconds.observe({ method: "GET", route: "/projects/:id" }, 0.004);
    metrics.deliveries.inc(200);
    metrics.socketConnections.inc();
    metrics.socketConnections.dec();
    metrics.jobsQueued.set({ state: "waiting" }, 3);
    const { text } = await metrics.render();
    expect(text).toContain(
      'atelier_http_requests_total{method="GET",route="/projects/:id",status="200"} 1\n',
    );
    expect(text).toContain(
      'atelier_http_request_seconds_bucket{le="0.005",method="GET",route="/projects/:id"} 1\n',
    );
    expect(text).toContain("atelier_socket_deliveries_total 200\n");
    expect(text).toContain("atelier_socket_connections 0\n");
    expect(text).toContain('atelier_jobs_queued{state="waiting"} 3\n');
  });

  it("[MT4] of two apps in one process are apart, and the library's global registry stays empty", async () => {
    const [one, two] = [createMetrics(), createMetrics()];
    one.deliveries.inc(5);
    expect((await two.render()).text).toContain("atelier_socket_deliveries_total 0\n");
    expect(register.getMetricsAsArray()).toEqual([]);
  });

  it("[MT5] hold memory, CPU and event-loop lag of the process under their usual names", async () => {
    const { text } = await createMetrics().render();
    for (const name of [
      "process_cpu_seconds_total",
      "process_resident_memory_bytes",
      "nodejs_eventloop_lag_p99_seconds",
    ]) {
      expect(text).toMatch(new RegExp(`^${name} `, "m"));
    }
  });
});
