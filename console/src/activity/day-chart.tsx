import { useMemo, useState } from "react";

const day = new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short" });
const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

const HEIGHT = 120;
const STEP = 20;
const GAP = 4;

/** How much happened on each of the last days, as bars; each can be pointed at, and a table says the same. */
export function DayChart({ times, days }: { readonly times: readonly number[]; readonly days: number }) {
  const bars = useMemo(() => count(times, days), [times, days]);
  const [shown, setShown] = useState<number>();
  const most = Math.max(1, ...bars.map((bar) => bar.count));
  const chosen = shown === undefined ? undefined : bars[shown];
  const total = bars.reduce((sum, bar) => sum + bar.count, 0);
  return (
    <figure className="card-body day-chart">
      <p className="small muted" aria-hidden="true">
        {chosen ? `${day.format(chosen.at)}: ${events(chosen.count)}` : `${events(total)} in ${days} days`}
      </p>
      <svg
        viewBox={`0 0 ${days * STEP} ${HEIGHT + 4}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${events(total)} in ${days} days, at most ${most} on one day`}
        onPointerLeave={() => setShown(undefined)}
      >
        {bars.map((bar, index) => {
          const height = bar.count === 0 ? 2 : Math.max(4, (bar.count / most) * HEIGHT);
          return (
            <g key={bar.at} onPointerEnter={() => setShown(index)}>
              <rect x={index * STEP} y={0} width={STEP} height={HEIGHT + 4} fill="transparent" />
              <rect
                className={bar.count === 0 ? "bar bar-none" : index === shown ? "bar bar-shown" : "bar"}
                x={index * STEP + GAP / 2}
                y={HEIGHT + 4 - height}
                width={STEP - GAP}
                height={height}
                rx={2}
              />
            </g>
          );
        })}
      </svg>
      <p className="small muted row" aria-hidden="true">
        <span>{short.format(bars[0]?.at ?? 0)}</span>
        <span className="push">Today</span>
      </p>
      <table className="visually-hidden">
        <caption>Events by day</caption>
        <tbody>
          {bars
            .filter((bar) => bar.count > 0)
            .map((bar) => (
              <tr key={bar.at}>
                <th scope="row">{day.format(bar.at)}</th>
                <td>{bar.count}</td>
              </tr>
            ))}
        </tbody>
      </table>
    </figure>
  );
}

function events(count: number): string {
  return count === 1 ? "1 event" : `${count} events`;
}

/** Days by the calendar of whoever looks, the last one today. */
function count(times: readonly number[], days: number): { readonly at: number; readonly count: number }[] {
  const today = new Date();
  const bars = Array.from({ length: days }, (_, index) => {
    const at = new Date(
      today.getFullYear(),
      today.getMonth(),
      today.getDate() - (days - 1 - index),
    ).getTime();
    return { at, count: 0 };
  });
  for (const time of times) {
    const bar = bars.findLast(({ at }) => time >= at);
    if (bar) bar.count += 1;
  }
  return bars;
}
