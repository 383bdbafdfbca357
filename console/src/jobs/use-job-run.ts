import type { Job, JobLogEntry, JobRun } from "atelier-client";
import { useCallback, useEffect, useRef, useState } from "react";
import { client } from "../data/client.js";

/** A run as a page shows it. */
export interface RunView {
  readonly job: Job | undefined;
  readonly entries: readonly JobLogEntry[];
  /** Handed in or followed, and not ended. */
  readonly active: boolean;
  readonly error: unknown;
}

const NOTHING: RunView = { job: undefined, entries: [], active: false, error: undefined };
/** Output is drawn at most this often. */
const FRAME_MS = 50;
/** What a page holds of one run; older output is in the job's log. */
const MOST_ENTRIES = 5_000;

/** Follows one run at a time; another one, or leaving the page, stops following. The job itself goes on. */
export function useJobRun(): RunView & {
  readonly start: (submission: Parameters<typeof client.jobs.run>[0]) => void;
  readonly follow: (jobId: string) => void;
  readonly stop: () => Promise<void>;
} {
  const [view, setView] = useState<RunView>(NOTHING);
  const current = useRef<{ readonly abort: AbortController; readonly run: JobRun } | undefined>(undefined);
  const leave = useCallback(() => current.current?.abort.abort(), []);
  useEffect(() => leave, [leave]);

  const watch = useCallback(
    (begin: (options: Parameters<typeof client.jobs.follow>[1]) => JobRun) => {
      leave();
      const abort = new AbortController();
      let entries: JobLogEntry[] = [];
      let timer: ReturnType<typeof setTimeout> | undefined;
      const show = (change: Partial<RunView>) => {
        if (!abort.signal.aborted) setView((before) => ({ ...before, ...change }));
      };
      const draw = () => {
        timer = undefined;
        show({ entries: [...entries] });
      };
      setView({ ...NOTHING, active: true });
      const run = begin({
        signal: abort.signal,
        onOutput(entry) {
          entries.push(entry);
          if (entries.length > MOST_ENTRIES) entries = entries.slice(-MOST_ENTRIES);
          timer ??= setTimeout(draw, FRAME_MS);
        },
        onProgress: (job) => show({ job }),
      });
      current.current = { abort, run };
      run.accepted.then(
        (job) => show({ job }),
        () => undefined,
      );
      run.result.then(
        (job) => {
          clearTimeout(timer);
          show({ job, entries: [...entries], active: false });
        },
        (error: unknown) => show({ error, active: false }),
      );
    },
    [leave],
  );

  const start = useCallback(
    (submission: Parameters<typeof client.jobs.run>[0]) =>
      watch((options) => client.jobs.run(submission, options)),
    [watch],
  );
  const follow = useCallback(
    (jobId: string) => watch((options) => client.jobs.follow(jobId, options)),
    [watch],
  );
  const stop = useCallback(async () => {
    await current.current?.run.cancel();
  }, []);
  return { ...view, start, follow, stop };
}
