import { useQueryClient } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import type { Job } from "atelier-client";
import { useEffect } from "react";
import { client } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { PageHead } from "../shell/page.js";
import { Button } from "../ui/button.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Loading, Notice } from "../ui/feedback.js";
import { Ago, duration } from "../ui/time.js";
import { ArtifactList } from "./artifact-list.js";
import { JobOutput } from "./job-output.js";
import { JobResult } from "./job-result.js";
import { isLive, StatusBadge, typeLabel } from "./job-status.js";
import { useJobRun } from "./use-job-run.js";

/** One job: how far it is, what it says, what it made. */
export function JobPage() {
  const { jobId } = useParams({ from: "/app/jobs/$jobId" });
  const queryClient = useQueryClient();
  const { follow, job, entries, error, active } = useJobRun();
  useEffect(() => follow(jobId), [follow, jobId]);
  useEffect(() => {
    if (!active) void queryClient.invalidateQueries({ queryKey: ["jobs"] });
  }, [active, queryClient]);
  const cancel = useAction(() => client.jobs.cancel(jobId), { toast: true, done: "The job was stopped." });
  const retry = useAction(() => client.jobs.retry(jobId), { toast: true, onSuccess: () => follow(jobId) });
  if (!job && error) return <ErrorNotice error={error} onRetry={() => follow(jobId)} />;
  if (!job) return <Loading />;
  const live = isLive(job.status);
  return (
    <>
      <PageHead
        title={`${typeLabel(job.type)} ${job.id.slice(-6)}`}
        about={<About job={job} />}
        actions={
          <>
            <StatusBadge status={job.status} />
            {live && (
              <Button icon="stop" busy={cancel.isPending} onClick={() => cancel.mutate(undefined)}>
                Stop
              </Button>
            )}
            {(job.status === "failed" || job.status === "cancelled") && (
              <Button icon="refresh" busy={retry.isPending} onClick={() => retry.mutate(undefined)}>
                Run again
              </Button>
            )}
          </>
        }
      />
      <div className="stack-l">
        {error != null && <ErrorNotice error={error} onRetry={() => follow(jobId)} />}
        {live && (
          <div>
            <progress className="progress" max={100} value={job.progress} aria-label="Progress" />
            <p className="small muted">
              {job.progressMessage ?? (job.status === "pending" ? "Waits for a worker" : "Runs")}
            </p>
          </div>
        )}
        {job.error && (
          <Notice tone={live ? "warn" : "danger"}>
            <strong>{job.error.message}</strong>
          </Notice>
        )}
        <JobResult job={job} />
        <ArtifactList job={job} />
        <section className="card" aria-labelledby="log">
          <div className="card-head">
            <h2 id="log">Log</h2>
          </div>
          <JobOutput
            entries={entries}
            label="Log of the job"
            placeholder={live ? "It has said nothing yet." : "It said nothing."}
          />
        </section>
      </div>
    </>
  );
}

function About({ job }: { readonly job: Job }) {
  const took =
    job.startedAt && Date.parse(job.finishedAt ?? new Date().toISOString()) - Date.parse(job.startedAt);
  return (
    <>
      Handed in <Ago at={job.createdAt} />
      {took && job.finishedAt ? ` · took ${duration(took)}` : ""}
      {job.attempt > 1 ? ` · attempt ${job.attempt} of ${job.maxAttempts}` : ""}
      {job.workspaceId && (
        <>
          {" · "}
          <Link to="/workspaces/$workspaceId" params={{ workspaceId: job.workspaceId }}>
            its workspace
          </Link>
        </>
      )}
    </>
  );
}
