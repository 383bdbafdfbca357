import "uplot/dist/uPlot.min.css";
import { useEffect, useMemo, useRef } from "react";
import uPlot from "uplot";

/** One line of a plot. */
export interface Line {
  readonly label: string;
  /** Name of a design token. */
  readonly colour: "--chart-1" | "--chart-2" | "--chart-3" | "--chart-4";
  readonly values: readonly (number | null)[];
}

const HEIGHT = 150;
/** What a plot shows, in seconds. */
const SPAN = 180;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const FONT = "11px Arial, sans-serif";

/** Values over time, drawn on. `seconds`: times since the Unix epoch. */
export function Plot({
  title,
  seconds,
  lines,
  format,
}: {
  readonly title: string;
  readonly seconds: readonly number[];
  readonly lines: readonly Line[];
  readonly format: (value: number) => string;
}) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const names = lines.map(({ label }) => label).join("|");
  const data = useMemo(
    () => [[...seconds], ...lines.map(({ values }) => [...values])] as uPlot.AlignedData,
    [seconds, lines],
  );
  const latest = useRef({ data, lines, format });
  latest.current = { data, lines, format };

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const make = () => {
      plot.current?.destroy();
      plot.current = new uPlot(optionsOf(element.clientWidth, latest.current), latest.current.data, element);
    };
    make();
    const resize = new ResizeObserver(() =>
      plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }),
    );
    resize.observe(element);
    const theme = new MutationObserver(make);
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    return () => {
      resize.disconnect();
      theme.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [names]);

  useEffect(() => plot.current?.setData(data), [data]);

  const now = lines.map(({ label, values, colour }) => ({ label, colour, value: values.at(-1) ?? null }));
  return (
    <section className="card plot" aria-label={title}>
      <div className="plot-head">
        <h2 className="grow">{title}</h2>
        {now.map(({ label, colour, value }) => (
          <span key={label} className="small">
            <span className={`plot-key plot-key${colour.slice(1)}`} aria-hidden="true" />
            {now.length > 1 && <span className="muted">{label} </span>}
            <strong>{value === null ? "–" : format(value)}</strong>
          </span>
        ))}
      </div>
      <div ref={host} aria-hidden="true" />
    </section>
  );
}

function optionsOf(
  width: number,
  { lines, format }: { readonly lines: readonly Line[]; readonly format: (value: number) => string },
): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const token = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: token("--text-3"),
    font: FONT,
    grid: { stroke: token("--chart-grid"), width: 1 },
    ticks: { show: false },
  };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 26, 0, 0],
    scales: {
      x: { range: (_plot, _min, max) => [max - SPAN, max] },
      y: { range: (_plot, _min, max) => [0, Math.max(1, max * 1.15)] },
    },
    axes: [
      {
        ...axis,
        space: 80,
        size: 26,
        values: (_plot, values) => values.map((value) => clock.format(value * 1_000)),
      },
      { ...axis, size: 54, space: 34, values: (_plot, values) => values.map((value) => format(value)) },
    ],
    series: [
      {},
      ...lines.map(({ colour }) => ({
        stroke: token(colour),
        width: 1.75,
        points: { show: false },
        fill: `${token(colour)}1f`,
      })),
    ],
  };
}
