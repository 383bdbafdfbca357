import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { useLive } from "../data/live-context.js";
import { queries } from "../data/queries.js";
import { PageHead } from "../shell/page.js";
import { Avatar, Avatars } from "../ui/avatar.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Empty, Loading, Skeleton } from "../ui/feedback.js";
import { Icon } from "../ui/icon.js";
import { Ago } from "../ui/time.js";
import { RoleBadge } from "./role-badge.js";

const MOST = 5;

/** A project at a glance. */
export function OverviewPage() {
  const { projectId } = useParams({ from: "/app/projects/$projectId/" });
  const project = useQuery(queries.project(projectId));
  if (project.error) return <ErrorNotice error={project.error} onRetry={() => void project.refetch()} />;
  if (!project.data) return <Loading />;
  return (
    <>
      <PageHead
        title={project.data.name}
        about={project.data.description}
        actions={<RoleBadge role={project.data.role} />}
      />
      <div className="overview">
        <Workspaces projectId={projectId} />
        <People projectId={projectId} />
      </div>
    </>
  );
}

function Workspaces({ projectId }: { readonly projectId: string }) {
  const { data, error, refetch } = useQuery(queries.workspaces(projectId));
  return (
    <section className="card" aria-labelledby="workspaces">
      <div className="card-head">
        <h2 id="workspaces" className="grow">
          Workspaces
        </h2>
        <Link to="/projects/$projectId/workspaces" params={{ projectId }}>
          All workspaces
        </Link>
      </div>
      {error && <ErrorNotice error={error} onRetry={() => void refetch()} />}
      {!data && !error && <Skeleton />}
      {data?.length === 0 && (
        <Empty
          icon="workspace"
          title="No workspace yet"
          action={
            <Link to="/projects/$projectId/workspaces" params={{ projectId }} className="btn btn-primary">
              Make a workspace
            </Link>
          }
        >
          A workspace is a folder of files that several people edit and run at once.
        </Empty>
      )}
      {data && data.length > 0 && (
        <ul className="list">
          {data.slice(0, MOST).map(({ id, name, updatedAt }) => (
            <li key={id}>
              <Link to="/workspaces/$workspaceId" params={{ workspaceId: id }} className="list-row">
                <Icon name="workspace" className="faint" />
                <span className="grow truncate">{name}</span>
                <span className="small muted">
                  <Ago at={updatedAt} />
                </span>
              </Link>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function People({ projectId }: { readonly projectId: string }) {
  const members = useQuery(queries.members(projectId));
  const { presence } = useLive();
  const here = presence;
  return (
    <section className="card" aria-labelledby="people">
      <div className="card-head">
        <h2 id="people" className="grow">
          Members
        </h2>
        <Link to="/projects/$projectId/members" params={{ projectId }}>
          All members
        </Link>
      </div>
      {members.error && <ErrorNotice error={members.error} onRetry={() => void members.refetch()} />}
      {!members.data && !members.error && <Skeleton />}
      {here.length > 0 && (
        <div className="list-row here">
          <Avatars people={here} />
          <span className="small muted">
            {here.length === 1 ? "1 person is here now" : `${here.length} people are here now`}
          </span>
        </div>
      )}
      <ul className="list">
        {members.data?.slice(0, MOST).map(({ userId, name, email, role }) => (
          <li key={userId} className="list-row">
            <Avatar id={userId} name={name} />
            <span className="grow">
              <span className="truncate block">{name}</span>
              <span className="small muted truncate block">{email}</span>
            </span>
            <RoleBadge role={role} />
          </li>
        ))}
      </ul>
    </section>
  );
}
