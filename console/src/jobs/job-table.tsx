import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { JobSummary } from "atelier-client";
import { type ReactNode, useState } from "react";
import { queries } from "../data/queries.js";
import { Button } from "../ui/button.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Empty, Skeleton } from "../ui/feedback.js";
import { Ago, duration } from "../ui/time.js";
import { isLive, STATUSES, StatusBadge, typeLabel } from "./job-status.js";

const LIVE_MS = 3_000;

/** Jobs, newest first, with a filter; kept up to date while one of them runs. */
export function JobTable({ projectId, empty }: { readonly projectId?: string; readonly empty: ReactNode }) {
  const [status, setStatus] = useState<JobSummary["status"]>();
  const list = useInfiniteQuery({
    ...queries.jobs({ projectId, status }),
    refetchInterval: ({ state }) =>
      state.data?.pages.some(({ items }) => items.some((job) => isLive(job.status))) ? LIVE_MS : false,
  });
  const jobs = list.data?.pages.flatMap(({ items }) => items);
  return (
    <div className="stack">
      <div className="segments" role="group" aria-label="Show">
        <Segment chosen={status === undefined} onClick={() => setStatus(undefined)}>
          All
        </Segment>
        {(["processing", "pending", "completed", "failed"] as const).map((each) => (
          <Segment key={each} chosen={status === each} onClick={() => setStatus(each)}>
            {STATUSES[each].label}
          </Segment>
        ))}
      </div>
      {list.error && <ErrorNotice error={list.error} onRetry={() => void list.refetch()} />}
      <section className="card" aria-label="Jobs">
        {!jobs && !list.error && <Skeleton />}
        {jobs?.length === 0 &&
          (status ? (
            <Empty icon="jobs" title="None of these">
              No job is in this state now. Choose “All” to see every job.
            </Empty>
          ) : (
            empty
          ))}
        {jobs && jobs.length > 0 && <Rows jobs={jobs} />}
      </section>
      {list.hasNextPage && (
        <Button busy={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
          Show older jobs
        </Button>
      )}
    </div>
  );
}

function Segment({
  chosen,
  onClick,
  children,
}: {
  readonly chosen: boolean;
  readonly onClick: () => void;
  readonly children: string;
}) {
  return (
    <button type="button" className="segment" aria-pressed={chosen} onClick={onClick}>
      {children}
    </button>
  );
}

function Rows({ jobs }: { readonly jobs: readonly JobSummary[] }) {
  return (
    <ul className="list">
      {jobs.map((job) => (
        <li key={job.id}>
          <Link to="/jobs/$jobId" params={{ jobId: job.id }} className="list-row job-row">
            <span className="job-kind">{typeLabel(job.type)}</span>
            <span className="grow">
              <Detail job={job} />
            </span>
            <StatusBadge status={job.status} />
            <span className="small muted job-time">
              <Ago at={job.createdAt} />
            </span>
          </Link>
        </li>
      ))}
    </ul>
  );
}

function Detail({ job }: { readonly job: JobSummary }) {
  if (job.status === "processing")
    return (
      <>
        <progress className="progress" max={100} value={job.progress} aria-label="Progress" />
        {job.progressMessage && <span className="small muted truncate block">{job.progressMessage}</span>}
      </>
    );
  if (job.error) return <span className="small truncate block">{job.error.message}</span>;
  if (job.startedAt && job.finishedAt)
    return (
      <span className="small muted">
        took {duration(Date.parse(job.finishedAt) - Date.parse(job.startedAt))}
      </span>
    );
  return <span className="small muted">{job.progressMessage ?? ""}</span>;
}
