import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import type { Project } from "atelier-client";
import { useState } from "react";
import { client } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { queries } from "../data/queries.js";
import { PageHead } from "../shell/page.js";
import { Button } from "../ui/button.js";
import { ConfirmDialog } from "../ui/confirm-dialog.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Loading, Notice } from "../ui/feedback.js";
import { ProjectForm, type ProjectInput } from "./project-form.js";
import { mayWrite } from "./role-badge.js";

/** Name, description and end of a project. */
export function SettingsPage() {
  const { projectId } = useParams({ from: "/app/projects/$projectId/settings" });
  const { data: project, error, refetch } = useQuery(queries.project(projectId));
  return (
    <>
      <PageHead title="Settings" about={project && `Of the project ${project.name}.`} />
      {error && <ErrorNotice error={error} onRetry={() => void refetch()} />}
      {!project && !error && <Loading />}
      {project && (
        <div className="stack-l narrow">
          <General key={project.version} project={project} />
          <Ending project={project} />
        </div>
      )}
    </>
  );
}

function General({ project }: { readonly project: Project }) {
  const save = useAction(
    (input: ProjectInput) => client.projects.update(project.id, input, { ifMatch: project.version }),
    {
      keys: [["projects"], ["project", project.id]],
      done: "The project was changed.",
    },
  );
  if (!mayWrite(project.role))
    return (
      <Notice tone="info">
        You are a Viewer: the name and description can be changed by Collaborators and Owners.
      </Notice>
    );
  return (
    <section className="card card-body" aria-label="General">
      <ProjectForm
        initial={project}
        action="Save"
        busy={save.isPending}
        error={save.error}
        onSubmit={save.mutate}
      />
    </section>
  );
}

function Ending({ project }: { readonly project: Project }) {
  const navigate = useNavigate();
  const [asking, setAsking] = useState(false);
  const remove = useAction(() => client.projects.delete(project.id), {
    keys: [["projects"]],
    done: `${project.name} was deleted.`,
    onSuccess: () => void navigate({ to: "/projects" }),
  });
  if (project.role !== "owner") return null;
  return (
    <section className="card" aria-labelledby="ending">
      <div className="card-head">
        <h2 id="ending">Delete the project</h2>
      </div>
      <div className="card-body row row-wrap">
        <p className="grow muted">
          Its workspaces, files, history and jobs go with it, for every member. It cannot be undone.
        </p>
        <Button kind="danger" icon="trash" onClick={() => setAsking(true)}>
          Delete
        </Button>
      </div>
      {asking && (
        <ConfirmDialog
          title={`Delete ${project.name}?`}
          action="Delete the project"
          typed={project.name}
          busy={remove.isPending}
          error={remove.error}
          onConfirm={() => remove.mutate(undefined)}
          onClose={() => setAsking(false)}
        >
          Everything in it is gone for every member. It cannot be undone.
        </ConfirmDialog>
      )}
    </section>
  );
}
