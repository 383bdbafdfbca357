import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { lazy, Suspense, useCallback, useEffect, useMemo, useState } from "react";
import { useLive } from "../data/live-context.js";
import { queries } from "../data/queries.js";
import { mayWrite } from "../projects/role-badge.js";
import { useTitle } from "../shell/page.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Empty, Loading } from "../ui/feedback.js";
import { FilePanel } from "./file-panel.js";
import { nameOf } from "./file-tree-model.js";
import { EditorTabs } from "./tabs.js";
import { useTabs } from "./use-tabs.js";

const FilePane = lazy(async () => ({ default: (await import("./file-pane.js")).FilePane }));

/** A workspace: its files, the one that is open, and what it says when it runs. */
export function WorkspacePage() {
  const { workspaceId } = useParams({ from: "/app/workspaces/$workspaceId" });
  const { file: active } = useSearch({ from: "/app/workspaces/$workspaceId" });
  const navigate = useNavigate();
  const workspace = useQuery(queries.workspace(workspaceId));
  const projectId = workspace.data?.projectId;
  const project = useQuery({ ...queries.project(projectId ?? ""), enabled: projectId !== undefined });
  const files = useQuery(queries.files(workspaceId));
  const tabs = useTabs(workspaceId, active);
  const [panelOpen, setPanelOpen] = useState(active === undefined);
  const writes = mayWrite(project.data?.role);
  const file = useMemo(() => files.data?.find(({ path }) => path === active), [files.data, active]);
  useTitle(
    active ? `${nameOf(active)} · ${workspace.data?.name ?? ""}` : (workspace.data?.name ?? "Workspace"),
  );

  const open = useCallback(
    (path: string | undefined) => {
      setPanelOpen(path === undefined);
      void navigate({
        to: "/workspaces/$workspaceId",
        params: { workspaceId },
        search: path ? { file: path } : {},
      });
    },
    [navigate, workspaceId],
  );
  const close = useCallback(
    (path: string) => {
      const next = tabs.close(path);
      if (path === active) open(next);
    },
    [tabs, active, open],
  );
  useEffect(() => {
    if (active) tabs.add(active);
  }, [active, tabs]);
  const moved = useCallback(
    (from: string, to: string) => {
      tabs.move(from, to);
      if (active && (active === from || active.startsWith(`${from}/`)))
        open(`${to}${active.slice(from.length)}`);
    },
    [tabs, active, open],
  );
  const { on } = useLive();
  useEffect(
    () =>
      on("file_renamed", ({ payload: { workspaceId: where, from, to } }) => {
        if (where === workspaceId && typeof from === "string" && typeof to === "string") moved(from, to);
      }),
    [on, moved, workspaceId],
  );

  if (workspace.error)
    return (
      <main className="page" id="main">
        <ErrorNotice error={workspace.error} onRetry={() => void workspace.refetch()} />
      </main>
    );
  if (!workspace.data) return <Loading />;
  return (
    <main className={panelOpen ? "bench bench-files" : "bench"} id="main" tabIndex={-1}>
      <FilePanel
        workspace={workspace.data}
        files={files.data}
        error={files.error}
        onRetry={() => void files.refetch()}
        active={active}
        writes={writes}
        onOpen={open}
        onMoved={moved}
        onDeleted={(path) => {
          for (const each of tabs.paths) if (each === path || each.startsWith(`${path}/`)) close(each);
        }}
      />
      <section className="desk" aria-label="Editor">
        <EditorTabs
          paths={tabs.paths}
          active={active}
          onOpen={open}
          onClose={close}
          onFiles={() => setPanelOpen(!panelOpen)}
        />
        {active ? (
          <Suspense fallback={<Loading />}>
            <FilePane
              key={active}
              workspace={workspace.data}
              path={active}
              file={file}
              files={files.data ?? []}
              writes={writes}
              onClose={() => close(active)}
            />
          </Suspense>
        ) : (
          <Empty icon="code" title={files.data?.length === 0 ? "Begin with a file" : "Open a file"}>
            {files.data?.length === 0
              ? writes
                ? "Make a file or drop some here. Whoever has it open sees what you type as you type it."
                : "There is no file yet. A Collaborator or Owner can make the first one."
              : "Choose one of the files. Several people can have it open, and each sees the others' cursors."}
          </Empty>
        )}
      </section>
    </main>
  );
}
