import { useQuery } from "@tanstack/react-query";
import { Outlet, useMatches, useParams, useRouterState } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { useLiveProject } from "../data/live.js";
import { LiveContext } from "../data/live-context.js";
import { queries } from "../data/queries.js";
import { useUser } from "../data/session.js";
import { IconButton } from "../ui/button.js";
import { AccountMenu } from "./account-menu.js";
import { Drawer } from "./drawer.js";
import { LiveBanner } from "./live-banner.js";
import { type Crumb, Crumbs } from "./page.js";
import { PresenceBar } from "./presence-bar.js";
import { Sidebar } from "./sidebar.js";

/** The frame around every page of somebody who is signed in. */
export function AppFrame() {
  const user = useUser();
  const { projectId: inPath, workspaceId } = useParams({ strict: false });
  const workspace = useQuery({ ...queries.workspace(workspaceId ?? ""), enabled: workspaceId !== undefined });
  const projectId = inPath ?? workspace.data?.projectId;
  const project = useQuery({ ...queries.project(projectId ?? ""), enabled: projectId !== undefined });
  const live = useLiveProject(user ? projectId : undefined);
  const [drawer, setDrawer] = useState(false);
  const path = useRouterState({ select: ({ location }) => location.pathname });
  useEffect(() => setDrawer(false), [path]);
  const page = useMatches({ select: (matches) => matches.at(-1)?.staticData.crumb });
  const steps = stepsOf({ project: project.data, workspace: workspace.data, page });
  if (!user) return null;
  const sidebar = <Sidebar project={project.data} />;
  return (
    <LiveContext value={live}>
      <div className={workspaceId ? "shell shell-rail" : "shell"}>
        <a className="skip-link" href="#main">
          Skip to the content
        </a>
        {sidebar}
        <div className="main">
          <header className="topbar">
            <IconButton icon="menu" label="Menu" className="menu-button" onClick={() => setDrawer(true)} />
            <Crumbs steps={steps} />
            <PresenceBar people={live.presence.filter(({ userId }) => userId !== user.id)} />
            <AccountMenu user={user} />
          </header>
          <LiveBanner live={live} />
          {workspaceId ? (
            <Outlet />
          ) : (
            <main className="page" id="main" tabIndex={-1}>
              <Outlet />
            </main>
          )}
        </div>
        {drawer && <Drawer onClose={() => setDrawer(false)}>{sidebar}</Drawer>}
      </div>
    </LiveContext>
  );
}

function stepsOf({
  project,
  workspace,
  page,
}: {
  readonly project: { readonly id: string; readonly name: string } | undefined;
  readonly workspace: { readonly id: string; readonly name: string } | undefined;
  readonly page: string | undefined;
}): readonly Crumb[] {
  const steps: Crumb[] = [];
  if (project) {
    const params = { projectId: project.id };
    steps.push({ label: "Projects", to: "/projects" });
    steps.push({ label: project.name, to: "/projects/$projectId", params });
    if (workspace) steps.push({ label: "Workspaces", to: "/projects/$projectId/workspaces", params });
  }
  if (workspace) steps.push({ label: workspace.name });
  else if (page) steps.push({ label: page });
  return steps;
}
