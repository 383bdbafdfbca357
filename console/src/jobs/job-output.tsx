import type { JobLogEntry } from "atelier-client";
import { useEffect, useLayoutEffect, useRef, useState } from "react";

/** Near the end counts as at the end. */
const NEAR_PX = 40;

/** What a program says, as it comes; it scrolls along unless somebody has scrolled up. */
export function JobOutput({
  entries,
  label,
  placeholder,
}: {
  readonly entries: readonly JobLogEntry[];
  readonly label: string;
  readonly placeholder: string;
}) {
  const ref = useRef<HTMLPreElement>(null);
  const [follows, setFollows] = useState(true);
  useLayoutEffect(() => {
    if (follows && entries.length > 0) ref.current?.scrollTo({ top: ref.current.scrollHeight });
  }, [entries, follows]);
  useEffect(() => {
    if (entries.length === 0) setFollows(true);
  }, [entries.length]);
  return (
    <pre
      ref={ref}
      className="output"
      tabIndex={0}
      role="log"
      aria-label={label}
      onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) =>
        setFollows(scrollHeight - scrollTop - clientHeight < NEAR_PX)
      }
    >
      {entries.length === 0 && <span className="faint">{placeholder}</span>}
      {entries.map(({ seq, stream, text }) => (
        <span key={seq} className={`output-${stream}`}>
          {text}
        </span>
      ))}
    </pre>
  );
}
