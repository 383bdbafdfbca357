import type { JobAudience, JobLogEntry, JobOutput } from "../jobs/job-output.js";
import type { Clock } from "../platform/clock.js";
import type { Hub } from "./hub.js";

/** UTF-16 units of log text in one `job_log`; a reader finds what is left out by its seq. */
const TEXT_LENGTH = 16 * 1024;

/** Carries what running jobs say to the sockets of their projects, without a seq: what is lost can be read back. */
export function createJobBroadcast(hub: Pick<Hub, "publishEphemeral">, clock: Clock): JobOutput {
  function publish(job: JobAudience, type: "job_progress" | "job_log", payload: object, key: string): void {
    if (job.projectId === null) return;
    const about = { jobId: job.jobId, jobType: job.type, attempt: job.attempt };
    hub.publishEphemeral(
      {
        sessionId: null,
        type,
        projectId: job.projectId,
        userId: job.ownerId,
        payload: { ...about, ...payload },
        timestamp: new Date(clock.now()).toISOString(),
      },
      `${type} ${job.jobId} ${key}`,
    );
  }

  return {
    progress(job, progress, message) {
      publish(job, "job_progress", { progress, message }, "");
    },
    log(job, entries) {
      const first = entries[0];
      const last = entries.at(-1);
      if (!first || !last) return;
      const shown = newest(entries).map(({ seq, at, stream, text }) => ({
        seq,
        at: new Date(at).toISOString(),
        stream,
        text,
      }));
      const after = (shown[0]?.seq ?? last.seq + 1) - 1;
      publish(job, "job_log", { after, lastSeq: last.seq, entries: shown }, String(last.seq));
    },
  };
}

/** The last entries that fit: who watches wants to see where it is. */
function newest(entries: readonly JobLogEntry[]): readonly JobLogEntry[] {
  let length = 0;
  let from = entries.length;
  while (from > 0) {
    length += entries[from - 1]?.text.length ?? 0;
    if (length > TEXT_LENGTH) break;
    from -= 1;
  }
  return entries.slice(from);
}
