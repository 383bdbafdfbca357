import type { JobSummary } from "atelier-client";

/** Where a job stands, and how that looks. */
export const STATUSES: Readonly<
  Record<JobSummary["status"], { readonly label: string; readonly tone: string }>
> = {
  pending: { label: "Waiting", tone: "" },
  processing: { label: "Running", tone: "badge-info" },
  completed: { label: "Completed", tone: "badge-ok" },
  failed: { label: "Failed", tone: "badge-danger" },
  retrying: { label: "Tries again", tone: "badge-warn" },
  cancelled: { label: "Cancelled", tone: "" },
};

/** True for a job that has not ended. */
export function isLive(status: JobSummary["status"]): boolean {
  return status === "pending" || status === "processing" || status === "retrying";
}

/** What kinds of jobs are called. */
const TYPES: Readonly<Record<string, string>> = {
  code_execution: "Run",
  data_processing: "Data",
  report_generation: "Report",
};

/** Name of a kind of job. */
export function typeLabel(type: string): string {
  return TYPES[type] ?? type.replaceAll("_", " ");
}

/** A job's state as a badge. */
export function StatusBadge({ status }: { readonly status: JobSummary["status"] }) {
  const { label, tone } = STATUSES[status];
  return <span className={`badge ${tone}`}>{label}</span>;
}
