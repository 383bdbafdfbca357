import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { client } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { queries } from "../data/queries.js";
import { PageHead } from "../shell/page.js";
import { Button } from "../ui/button.js";
import { Dialog } from "../ui/dialog.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Empty, Skeleton } from "../ui/feedback.js";
import { Ago } from "../ui/time.js";
import { ProjectForm, type ProjectInput } from "./project-form.js";
import { RoleBadge } from "./role-badge.js";

/** Every project the account is a member of. */
export function ProjectsPage() {
  const [creating, setCreating] = useState(false);
  const [wanted, setWanted] = useState("");
  const { data: projects, error, refetch } = useQuery(queries.projects());
  const shown = projects?.filter(({ name }) => name.toLowerCase().includes(wanted.trim().toLowerCase()));
  const create = (
    <Button kind="primary" icon="plus" onClick={() => setCreating(true)}>
      New project
    </Button>
  );
  return (
    <>
      <PageHead title="Projects" about="Each has its own members, workspaces and history." actions={create} />
      <div className="stack">
        {error && <ErrorNotice error={error} onRetry={() => void refetch()} />}
        {!projects && !error && (
          <div className="card">
            <Skeleton />
          </div>
        )}
        {projects?.length === 0 && (
          <div className="card">
            <Empty icon="grid" title="Make your first project" action={create}>
              A project holds workspaces of files that you edit and run together. Invite others once it is
              there.
            </Empty>
          </div>
        )}
        {projects && projects.length > 6 && (
          <input
            type="search"
            className="input search"
            aria-label="Find a project"
            placeholder="Find a project"
            value={wanted}
            onChange={(event) => setWanted(event.target.value)}
          />
        )}
        {shown && projects && projects.length > 0 && shown.length === 0 && (
          <p className="muted">No project is called “{wanted}”.</p>
        )}
        {shown && shown.length > 0 && (
          <ul className="grid">
            {shown.map((project) => (
              <li key={project.id}>
                <Link to="/projects/$projectId" params={{ projectId: project.id }} className="tile">
                  <h2 className="truncate">{project.name}</h2>
                  <p className="muted small clamp">{project.description ?? "No description"}</p>
                  <span className="tile-foot">
                    <RoleBadge role={project.role} />
                    <span className="push">
                      Changed <Ago at={project.updatedAt} />
                    </span>
                  </span>
                </Link>
              </li>
            ))}
          </ul>
        )}
      </div>
      {creating && <CreateProject onClose={() => setCreating(false)} />}
    </>
  );
}

function CreateProject({ onClose }: { readonly onClose: () => void }) {
  const navigate = useNavigate();
  const create = useAction((input: ProjectInput) => client.projects.create(input), {
    keys: [["projects"]],
    onSuccess: (project) => {
      onClose();
      void navigate({ to: "/projects/$projectId", params: { projectId: project.id } });
    },
  });
  return (
    <Dialog title="New project" onClose={onClose}>
      <ProjectForm
        action="Create the project"
        busy={create.isPending}
        error={create.error}
        onSubmit={create.mutate}
        onCancel={onClose}
      />
    </Dialog>
  );
}
