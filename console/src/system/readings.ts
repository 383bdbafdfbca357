import { useEffect, useState } from "react";
import { type Reading, readingOf } from "./metrics.js";

/** What `/readyz` says. */
export interface Readiness {
  readonly status: "ready" | "degraded" | "unavailable";
  readonly checks: Readonly<Record<string, string>>;
  readonly detail: string | undefined;
}

/** The state of the service as this page sees it. */
export interface SystemView {
  readonly readiness: Readiness | undefined;
  /** Since when the process runs, in seconds. */
  readonly uptime: number | undefined;
  readonly readings: readonly Reading[];
  /** `hidden`: this address may not read the metrics; `away`: nothing answers. */
  readonly metrics: "loading" | "shown" | "hidden" | "away";
}

const EVERY_MS = 2_000;
const MOST = 150;

/** Reads health and metrics every two seconds while the page can be seen. These stand outside the API, and need no account. */
export function useSystem(): SystemView {
  const [view, setView] = useState<SystemView>({
    readiness: undefined,
    uptime: undefined,
    readings: [],
    metrics: "loading",
  });
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const round = async () => {
      if (document.visibilityState === "visible") {
        const [readiness, uptime, reading] = await Promise.all([
          readReadiness(abort.signal),
          readUptime(abort.signal),
          readMetrics(abort.signal),
        ]);
        if (abort.signal.aborted) return;
        setView((before) => ({
          readiness,
          uptime,
          readings:
            typeof reading === "string" ? before.readings : [...before.readings, reading].slice(-MOST),
          metrics: typeof reading === "string" ? reading : "shown",
        }));
      }
      timer = setTimeout(() => void round(), EVERY_MS);
    };
    void round();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, []);
  return view;
}

async function readReadiness(signal: AbortSignal): Promise<Readiness> {
  try {
    const response = await fetch("/readyz", { signal });
    const body = (await response.json()) as Partial<Readiness> & { status: unknown };
    const status =
      response.ok && (body.status === "ready" || body.status === "degraded") ? body.status : "unavailable";
    return { status, checks: body.checks ?? {}, detail: body.detail };
  } catch {
    return { status: "unavailable", checks: {}, detail: "The server does not answer." };
  }
}

async function readUptime(signal: AbortSignal): Promise<number | undefined> {
  try {
    const { uptime } = (await (await fetch("/health", { signal })).json()) as { uptime: number };
    return uptime;
  } catch {
    return undefined;
  }
}

async function readMetrics(signal: AbortSignal): Promise<Reading | "hidden" | "away"> {
  try {
    const response = await fetch("/metrics", { signal });
    return response.ok ? readingOf(await response.text(), Date.now()) : "hidden";
  } catch {
    return "away";
  }
}
