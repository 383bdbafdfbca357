/** One series of a Prometheus text: name, labels, value. */
interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What the plots are made of, at one moment. */
export interface Reading {
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  readonly connections: number;
  readonly rooms: number;
  /** Messages handed to sockets since the process began. */
  readonly deliveries: number;
  readonly requests: number;
  /** Seconds spent on them. */
  readonly requestSeconds: number;
  /** How far the event loop is behind, in seconds. */
  readonly loopLag: number;
  /** Events that were not handed on yet. */
  readonly outboxLag: number;
  readonly jobsWaiting: number;
  readonly jobsRunning: number;
  readonly memory: number;
  readonly cpuSeconds: number;
}

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;

/** Reads the Prometheus text format, as far as it is used here; a line that is none is passed over. */
export function parseMetrics(text: string): readonly Sample[] {
  const samples: Sample[] = [];
  for (const line of text.split("\n")) {
    const [, name, labels = "", value] = LINE.exec(line) ?? [];
    if (name === undefined) continue;
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key = "", held = ""]) => [
      key,
      held,
    ]);
    samples.push({ name, labels: Object.fromEntries(pairs) as Record<string, string>, value: Number(value) });
  }
  return samples;
}

/** What the plots need of a scrape. */
export function readingOf(text: string, at: number): Reading {
  const samples = parseMetrics(text);
  const sum = (name: string, wanted: Readonly<Record<string, string>> = {}) => {
    let total = 0;
    for (const sample of samples) {
      if (sample.name !== name || !Number.isFinite(sample.value)) continue;
      if (Object.entries(wanted).every(([key, value]) => sample.labels[key] === value)) total += sample.value;
    }
    return total;
  };
  return {
    at,
    connections: sum("atelier_socket_connections"),
    rooms: sum("atelier_rooms_open"),
    deliveries: sum("atelier_socket_deliveries_total"),
    requests: sum("atelier_http_request_seconds_count"),
    requestSeconds: sum("atelier_http_request_seconds_sum"),
    loopLag: sum("nodejs_eventloop_lag_p99_seconds"),
    outboxLag: sum("atelier_outbox_lag_events"),
    jobsWaiting:
      sum("atelier_jobs_queued", { state: "waiting" }) + sum("atelier_jobs_queued", { state: "delayed" }),
    jobsRunning: sum("atelier_jobs_queued", { state: "active" }),
    memory: sum("process_resident_memory_bytes"),
    cpuSeconds: sum("process_cpu_seconds_total"),
  };
}
