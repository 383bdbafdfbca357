import type { ReactNode } from "react";
import { Icon, type IconName } from "./icon.js";

/** A sentence that stands out, said to screen readers when it comes. */
export function Notice({
  tone,
  children,
}: {
  readonly tone: "danger" | "warn" | "ok" | "info";
  readonly children: ReactNode;
}) {
  const icon: IconName = tone === "ok" ? "check" : tone === "info" ? "bell" : "alert";
  return (
    <div className={`notice notice-${tone}`} role={tone === "danger" ? "alert" : "status"}>
      <Icon name={icon} />
      <div className="grow">{children}</div>
    </div>
  );
}

/** What a list shows that has nothing: what it is for, and the next step. */
export function Empty({
  icon,
  title,
  children,
  action,
}: {
  readonly icon: IconName;
  readonly title: string;
  readonly children: ReactNode;
  readonly action?: ReactNode;
}) {
  return (
    <div className="empty">
      <span className="empty-mark">
        <Icon name={icon} />
      </span>
      <h2>{title}</h2>
      <p>{children}</p>
      {action}
    </div>
  );
}

/** Grey bars while a list is on its way. */
export function Skeleton({ rows = 3 }: { readonly rows?: number }) {
  return (
    <div className="stack card-body" role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, row) => (
        <div key={row} className="skeleton skeleton-row" />
      ))}
    </div>
  );
}

/** A page that is on its way. */
export function Loading() {
  return (
    <div className="page-loading" role="status" aria-label="Loading">
      <span className="spinner" />
    </div>
  );
}
