import { useQuery } from "@tanstack/react-query";
import type { FileVersion, FileVersionDiff } from "atelier-client";
import { useState } from "react";
import { client } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { queries } from "../data/queries.js";
import { Button } from "../ui/button.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Loading } from "../ui/feedback.js";
import { Ago } from "../ui/time.js";

/** An earlier text beside what it became, line by line. */
export function VersionView({
  workspaceId,
  version,
  writes,
  onClose,
}: {
  readonly workspaceId: string;
  readonly version: FileVersion;
  readonly writes: boolean;
  readonly onClose: () => void;
}) {
  const [whole, setWhole] = useState(false);
  const diff = useQuery({ ...queries.versionDiff(workspaceId, version.id), enabled: !whole });
  const text = useQuery({ ...queries.version(workspaceId, version.id), enabled: whole });
  const restore = useAction(
    () => client.call("restoreVersion", { params: { workspaceId, versionId: version.id } }),
    {
      keys: [["workspace", workspaceId]],
      done: "The earlier text is back. What it replaced is in the history.",
      toast: true,
      onSuccess: onClose,
    },
  );
  const error = whole ? text.error : diff.error;
  return (
    <section className="version-view" aria-label="Version">
      <div className="pane-bar">
        <span className="grow small">
          <strong>{version.label ?? "Version"}</strong> from <Ago at={version.createdAt} />
          {diff.data && !whole && <Counts diff={diff.data} />}
        </span>
        <div className="segments">
          <button type="button" className="segment" aria-pressed={!whole} onClick={() => setWhole(false)}>
            Difference
          </button>
          <button type="button" className="segment" aria-pressed={whole} onClick={() => setWhole(true)}>
            Whole text
          </button>
        </div>
        {writes && (
          <Button
            small
            kind="primary"
            icon="history"
            busy={restore.isPending}
            onClick={() => restore.mutate(undefined)}
          >
            Restore
          </Button>
        )}
        <Button small onClick={onClose}>
          Back to the text
        </Button>
      </div>
      {error && <ErrorNotice error={error} onRetry={() => void (whole ? text : diff).refetch()} />}
      {!error && !(whole ? text.data : diff.data) && <Loading />}
      {whole && text.data && (
        <pre className="version-text" tabIndex={0} aria-label="Text of the version">
          {text.data.content}
        </pre>
      )}
      {!whole && diff.data && <Difference diff={diff.data} />}
    </section>
  );
}

function Counts({ diff }: { readonly diff: FileVersionDiff }) {
  return (
    <>
      {" · "}
      <span className="diff-count-added">+{diff.removed}</span>{" "}
      <span className="diff-count-removed">−{diff.added}</span>
      <span className="visually-hidden">
        : {diff.removed} lines came since, {diff.added} went
      </span>
    </>
  );
}

/** What came since the version is added, what went is removed: the difference is read towards now. */
function Difference({ diff }: { readonly diff: FileVersionDiff }) {
  if (diff.hunks.length === 0) return <p className="card-body muted">The text is now as it was then.</p>;
  return (
    <div className="version-text diff" tabIndex={0} role="region" aria-label="What changed since">
      {diff.hunks.map((hunk, index) => (
        <div key={hunk.lines.map(({ from, to }) => `${from}:${to}`).join()} className="diff-hunk">
          {index > 0 && <div className="diff-gap">⋯</div>}
          {towardsNow(hunk.lines).map(({ kind, from, to, text }) => {
            const since = kind === "removed" ? "added" : kind === "added" ? "removed" : "same";
            return (
              <div key={`${kind} ${from} ${to}`} className={`diff-line diff-${since}`}>
                <span className="diff-number" aria-hidden="true">
                  {to ?? ""}
                </span>
                <span className="diff-number" aria-hidden="true">
                  {from ?? ""}
                </span>
                <span className="diff-sign">{since === "added" ? "+" : since === "removed" ? "−" : " "}</span>
                <span className="diff-text">{text.replace(/\r?\n$/, "")}</span>
              </div>
            );
          })}
        </div>
      ))}
      {diff.truncated && <p className="card-body muted">There is more; only the beginning is shown.</p>}
    </div>
  );
}

type Line = FileVersionDiff["hunks"][number]["lines"][number];

/** Where lines were replaced, what went comes before what came. */
function towardsNow(lines: readonly Line[]): readonly Line[] {
  const ordered: Line[] = [];
  let came: Line[] = [];
  for (const line of lines) {
    if (line.kind === "removed") came.push(line);
    else {
      if (line.kind === "same") {
        ordered.push(...came);
        came = [];
      }
      ordered.push(line);
    }
  }
  return [...ordered, ...came];
}
