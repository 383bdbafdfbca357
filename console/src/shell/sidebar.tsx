import { Link, type LinkProps } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { Icon, type IconName, Logo } from "../ui/icon.js";

interface NavProps extends Pick<LinkProps, "to" | "params"> {
  readonly icon: IconName;
  readonly label: string;
  readonly count?: number;
  readonly exact?: boolean;
}

function Nav({ icon, label, count, exact, ...link }: NavProps) {
  return (
    <Link {...link} className="nav-link" activeOptions={{ exact: exact ?? false }} title={label}>
      <Icon name={icon} />
      <span className="nav-label">{label}</span>
      {count ? (
        <span className="nav-count">
          {count > 99 ? "99+" : count}
          <span className="visually-hidden"> unread</span>
        </span>
      ) : null}
    </Link>
  );
}

/** What the console has, and what the project at hand has. */
export function Sidebar({
  project,
}: {
  readonly project: { readonly id: string; readonly name: string; readonly role: string } | undefined;
}): ReactNode {
  const params = { projectId: project?.id ?? "" };
  return (
    <nav className="sidebar" aria-label="Main">
      <Link to="/projects" className="brand" aria-label="Atelier, to your projects">
        <Logo />
        <span>Atelier</span>
      </Link>
      <Nav to="/projects" icon="grid" label="Projects" exact />
      <Nav to="/jobs" icon="jobs" label="My jobs" exact />
      <Nav to="/system" icon="activity" label="System" />
      {project && (
        <>
          <p className="nav-title truncate" title={project.name}>
            {project.name}
          </p>
          <Nav to="/projects/$projectId" params={params} icon="home" label="Overview" exact />
          <Nav to="/projects/$projectId/workspaces" params={params} icon="workspace" label="Workspaces" />
          <Nav to="/projects/$projectId/members" params={params} icon="users" label="Members" />
          <Nav to="/projects/$projectId/jobs" params={params} icon="terminal" label="Jobs" />
          <Nav to="/projects/$projectId/activity" params={params} icon="clock" label="Activity" />
          <Nav to="/projects/$projectId/settings" params={params} icon="gear" label="Settings" />
        </>
      )}
    </nav>
  );
}
