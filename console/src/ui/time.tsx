import { useEffect, useState } from "react";

type Step = readonly [limit: number, unit: Intl.RelativeTimeFormatUnit, ms: number];

const YEAR: Step = [Number.POSITIVE_INFINITY, "year", 365 * 86_400_000];
const STEPS: readonly Step[] = [
  [3_600_000, "minute", 60_000],
  [86_400_000, "hour", 3_600_000],
  [30 * 86_400_000, "day", 86_400_000],
  [365 * 86_400_000, "month", 30 * 86_400_000],
];

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const absolute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** How long ago, such as `5 minutes ago`. */
export function ago(time: number, now: number): string {
  const past = now - time;
  if (Math.abs(past) < 45_000) return "just now";
  const [, unit, ms] = STEPS.find(([limit]) => Math.abs(past) < limit) ?? YEAR;
  return relative.format(-Math.round(past / ms), unit);
}

/** A moment as how long ago it was, kept up to date; the full time as tooltip. */
export function Ago({ at }: { readonly at: string }) {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 30_000);
    return () => clearInterval(timer);
  }, []);
  const time = Date.parse(at);
  return (
    <time dateTime={at} title={absolute.format(time)} className="nowrap">
      {ago(time, Math.max(now, time))}
    </time>
  );
}

/** A length of time in ms, such as `1.4 s`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.round((ms % 60_000) / 1_000)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Bytes, such as `3.4 kB`. */
export function bytes(count: number): string {
  if (count < 1_000) return `${count} B`;
  if (count < 1_000_000) return `${(count / 1_000).toFixed(1)} kB`;
  if (count < 1_000_000_000) return `${(count / 1_000_000).toFixed(1)} MB`;
  return `${(count / 1_000_000_000).toFixed(1)} GB`;
}
