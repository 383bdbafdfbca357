import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import type { FileVersion } from "atelier-client";
import { type FormEvent, useState } from "react";
import { client } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { queries } from "../data/queries.js";
import { Button, IconButton } from "../ui/button.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Empty, Skeleton } from "../ui/feedback.js";
import { Ago, bytes } from "../ui/time.js";

const KINDS: Readonly<Record<FileVersion["kind"], string>> = {
  automatic: "Kept by itself",
  saved: "Saved",
  before_restore: "Before a restore",
};

/** Earlier texts of a file; one can be looked at, and brought back. */
export function HistoryPanel({
  workspaceId,
  projectId,
  path,
  writes,
  shown,
  onShow,
  onClose,
}: {
  readonly workspaceId: string;
  readonly projectId: string;
  readonly path: string;
  readonly writes: boolean;
  readonly shown: string | undefined;
  readonly onShow: (version: FileVersion) => void;
  readonly onClose: () => void;
}) {
  const list = useInfiniteQuery(queries.versions(workspaceId, path));
  const members = useQuery(queries.members(projectId));
  const versions = list.data?.pages.flatMap((page) => page.versions);
  const names = new Map(members.data?.map(({ userId, name }) => [userId, name]));
  return (
    <aside className="history" aria-label="History">
      <div className="files-head">
        <h2 className="grow">History</h2>
        <IconButton icon="x" label="Close the history" small onClick={onClose} />
      </div>
      {writes && <SaveVersion workspaceId={workspaceId} path={path} />}
      <div className="history-list">
        {list.error && <ErrorNotice error={list.error} onRetry={() => void list.refetch()} />}
        {!versions && !list.error && <Skeleton />}
        {versions?.length === 0 && (
          <Empty icon="history" title="No version yet">
            Versions are kept by themselves while the file is edited. Save one now to have a place to come
            back to.
          </Empty>
        )}
        <ul className="list">
          {versions?.map((version) => (
            <li key={version.id}>
              <button
                type="button"
                className="version"
                aria-pressed={version.id === shown}
                onClick={() => onShow(version)}
              >
                <strong className="truncate">{version.label ?? KINDS[version.kind]}</strong>
                <span className="small muted">
                  <Ago at={version.createdAt} /> · {bytes(version.size)}
                </span>
                <span className="small muted truncate">
                  {version.authors.map((id) => names.get(id) ?? "a former member").join(", ")}
                </span>
              </button>
            </li>
          ))}
        </ul>
        {list.hasNextPage && (
          <Button small kind="quiet" busy={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
            Show older
          </Button>
        )}
      </div>
    </aside>
  );
}

function SaveVersion({ workspaceId, path }: { readonly workspaceId: string; readonly path: string }) {
  const [label, setLabel] = useState("");
  const save = useAction(
    () =>
      client.call("saveVersion", {
        params: { workspaceId },
        body: { path, label: label.trim() === "" ? null : label.trim() },
      }),
    {
      keys: [["workspace", workspaceId, "versions", path]],
      done: "The version is kept.",
      toast: true,
      onSuccess: () => setLabel(""),
    },
  );
  return (
    <form
      className="history-save"
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        save.mutate(undefined);
      }}
    >
      <input
        className="input input-small"
        aria-label="Name of the version"
        placeholder="Name, such as “works”"
        maxLength={100}
        value={label}
        onChange={(event) => setLabel(event.target.value)}
      />
      <Button type="submit" small busy={save.isPending}>
        Save version
      </Button>
    </form>
  );
}
