import { useMemo } from "react";
import { PageHead } from "../shell/page.js";
import { Loading, Notice } from "../ui/feedback.js";
import { bytes, duration } from "../ui/time.js";
import type { Reading } from "./metrics.js";
import { type Line, Plot } from "./plot.js";
import { type Readiness, useSystem } from "./readings.js";

const CHECKS: Readonly<Record<string, string>> = {
  database: "PostgreSQL",
  redis: "Redis",
  mongodb: "MongoDB",
  jobQueue: "Job queue",
  blobs: "Files",
};

const STATES = {
  ready: { label: "Everything works", tone: "ok" },
  degraded: { label: "Works, with a part away", tone: "warn" },
  unavailable: { label: "Not ready", tone: "danger" },
} as const;

/** How the service is. */
export function SystemPage() {
  const { readiness, uptime, readings, metrics } = useSystem();
  return (
    <>
      <PageHead title="System" about="How this server is, measured every two seconds." />
      <div className="stack-l">
        {readiness ? <Health readiness={readiness} uptime={uptime} /> : <Loading />}
        {metrics === "hidden" && (
          <Notice tone="info">
            The figures are kept from this address. On the server itself, or with `METRICS_TOKEN` and
            Prometheus, they can be read at /metrics.
          </Notice>
        )}
        {metrics === "away" && (
          <Notice tone="warn">The figures do not come right now. They go on by themselves.</Notice>
        )}
        {readings.length > 0 && <Plots readings={readings} />}
      </div>
    </>
  );
}

function Health({
  readiness,
  uptime,
}: {
  readonly readiness: Readiness;
  readonly uptime: number | undefined;
}) {
  const { label, tone } = STATES[readiness.status];
  return (
    <section className="card health" aria-label="Health">
      <div className="row">
        <span className={`dot dot-${tone} health-dot`} />
        <span>
          <strong>{label}</strong>
          <span className="small muted block">
            {readiness.detail ?? (uptime === undefined ? "" : `Up for ${duration(uptime * 1_000)}`)}
          </span>
        </span>
      </div>
      <ul className="health-checks">
        {Object.entries(readiness.checks).map(([name, state]) => (
          <li key={name} className="row">
            <span className={state === "ok" ? "dot dot-ok" : "dot dot-danger"} />
            {CHECKS[name] ?? name}
            {state !== "ok" && <span className="badge badge-danger">away</span>}
          </li>
        ))}
      </ul>
    </section>
  );
}

const whole = (value: number) =>
  value >= 1_000 ? `${(value / 1_000).toFixed(1)}k` : String(Math.round(value * 10) / 10);
const ms = (value: number) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
const perSecond = (value: number) => `${whole(value)}/s`;

function Plots({ readings }: { readonly readings: readonly Reading[] }) {
  const seconds = useMemo(() => readings.map(({ at }) => at / 1_000), [readings]);
  const lines = useMemo(() => linesOf(readings), [readings]);
  return (
    <div className="plots">
      <Plot title="Connections" seconds={seconds} lines={lines.connections} format={whole} />
      <Plot title="Deliveries" seconds={seconds} lines={lines.deliveries} format={perSecond} />
      <Plot title="Requests" seconds={seconds} lines={lines.requests} format={perSecond} />
      <Plot title="Time to answer" seconds={seconds} lines={lines.answer} format={ms} />
      <Plot title="Event loop lag, p99" seconds={seconds} lines={lines.lag} format={ms} />
      <Plot title="Job queue" seconds={seconds} lines={lines.queue} format={whole} />
      <Plot title="Events not handed on" seconds={seconds} lines={lines.outbox} format={whole} />
      <Plot title="Memory" seconds={seconds} lines={lines.memory} format={bytes} />
    </div>
  );
}

type PlotName = "connections" | "deliveries" | "requests" | "answer" | "lag" | "queue" | "outbox" | "memory";

function linesOf(readings: readonly Reading[]): Readonly<Record<PlotName, readonly Line[]>> {
  const values = (of: (reading: Reading) => number) => readings.map(of);
  const change = (of: (now: Reading, before: Reading) => number | null) =>
    readings.map((now, index) => {
      const before = readings[index - 1];
      // A process that began anew counts from zero.
      return before && now.requests >= before.requests ? of(now, before) : null;
    });
  const rate = (of: (reading: Reading) => number) =>
    change((now, before) => Math.max(0, (of(now) - of(before)) / ((now.at - before.at) / 1_000)));
  const line = (label: string, colour: Line["colour"], given: Line["values"]): Line => ({
    label,
    colour,
    values: given,
  });
  return {
    connections: [
      line(
        "sockets",
        "--chart-1",
        values(({ connections }) => connections),
      ),
      line(
        "rooms",
        "--chart-2",
        values(({ rooms }) => rooms),
      ),
    ],
    deliveries: [
      line(
        "messages",
        "--chart-1",
        rate(({ deliveries }) => deliveries),
      ),
    ],
    requests: [
      line(
        "requests",
        "--chart-3",
        rate(({ requests }) => requests),
      ),
    ],
    answer: [
      line(
        "mean",
        "--chart-3",
        change((now, before) =>
          now.requests === before.requests
            ? 0
            : ((now.requestSeconds - before.requestSeconds) / (now.requests - before.requests)) * 1_000,
        ),
      ),
    ],
    lag: [
      line(
        "p99",
        "--chart-4",
        values(({ loopLag }) => loopLag * 1_000),
      ),
    ],
    queue: [
      line(
        "waiting",
        "--chart-2",
        values(({ jobsWaiting }) => jobsWaiting),
      ),
      line(
        "running",
        "--chart-1",
        values(({ jobsRunning }) => jobsRunning),
      ),
    ],
    outbox: [
      line(
        "events",
        "--chart-4",
        values(({ outboxLag }) => outboxLag),
      ),
    ],
    memory: [
      line(
        "memory",
        "--chart-1",
        values(({ memory }) => memory),
      ),
    ],
  };
}
