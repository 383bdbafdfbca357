import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import type { Workspace } from "atelier-client";
import { type FormEvent, useState } from "react";
import { client } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { queries } from "../data/queries.js";
import { mayWrite } from "../projects/role-badge.js";
import { PageHead } from "../shell/page.js";
import { Button, IconButton } from "../ui/button.js";
import { ConfirmDialog } from "../ui/confirm-dialog.js";
import { Dialog } from "../ui/dialog.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { faultOf, hasFaults } from "../ui/error-text.js";
import { Empty, Skeleton } from "../ui/feedback.js";
import { TextField } from "../ui/field.js";
import { Icon } from "../ui/icon.js";
import { Ago } from "../ui/time.js";

/** The workspaces of a project. */
export function WorkspacesPage() {
  const { projectId } = useParams({ from: "/app/projects/$projectId/workspaces" });
  const project = useQuery(queries.project(projectId));
  const { data, error, refetch } = useQuery(queries.workspaces(projectId));
  const [naming, setNaming] = useState<Workspace | "new">();
  const [ending, setEnding] = useState<Workspace>();
  const writes = mayWrite(project.data?.role);
  const create = writes && (
    <Button kind="primary" icon="plus" onClick={() => setNaming("new")}>
      New workspace
    </Button>
  );
  return (
    <>
      <PageHead
        title="Workspaces"
        about="Folders of files that several people edit and run at once."
        actions={create}
      />
      {error && <ErrorNotice error={error} onRetry={() => void refetch()} />}
      <section className="card" aria-label="Workspaces">
        {!data && !error && <Skeleton />}
        {data?.length === 0 && (
          <Empty icon="workspace" title="No workspace yet" action={create}>
            {writes
              ? "Make one, put files into it, and open it together with the other members."
              : "A Collaborator or Owner can make the first one."}
          </Empty>
        )}
        {data && data.length > 0 && (
          <ul className="list">
            {data.map((workspace) => (
              <li key={workspace.id} className="row-with-actions">
                <Link
                  to="/workspaces/$workspaceId"
                  params={{ workspaceId: workspace.id }}
                  className="list-row grow"
                >
                  <Icon name="workspace" className="faint" />
                  <span className="grow truncate">{workspace.name}</span>
                  <span className="small muted">
                    <Ago at={workspace.updatedAt} />
                  </span>
                </Link>
                {writes && (
                  <span className="row row-actions">
                    <IconButton
                      icon="pencil"
                      label={`Rename ${workspace.name}`}
                      small
                      onClick={() => setNaming(workspace)}
                    />
                    <IconButton
                      icon="trash"
                      label={`Delete ${workspace.name}`}
                      small
                      onClick={() => setEnding(workspace)}
                    />
                  </span>
                )}
              </li>
            ))}
          </ul>
        )}
      </section>
      {naming && (
        <NameDialog
          projectId={projectId}
          workspace={naming === "new" ? undefined : naming}
          onClose={() => setNaming(undefined)}
        />
      )}
      {ending && <EndDialog projectId={projectId} workspace={ending} onClose={() => setEnding(undefined)} />}
    </>
  );
}

function NameDialog({
  projectId,
  workspace,
  onClose,
}: {
  readonly projectId: string;
  readonly workspace: Workspace | undefined;
  readonly onClose: () => void;
}) {
  const navigate = useNavigate();
  const [name, setName] = useState(workspace?.name ?? "");
  const save = useAction(
    () =>
      workspace
        ? client.workspaces.update(workspace.id, { name })
        : client.workspaces.create(projectId, { name, settings: {} }),
    {
      keys: [["project", projectId, "workspaces"]],
      onSuccess: ({ id }) => {
        onClose();
        if (!workspace) void navigate({ to: "/workspaces/$workspaceId", params: { workspaceId: id } });
      },
    },
  );
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate(undefined);
  };
  return (
    <Dialog title={workspace ? "Rename the workspace" : "New workspace"} onClose={onClose}>
      <form className="stack" onSubmit={submit}>
        <TextField
          label="Name"
          required
          minLength={3}
          maxLength={100}
          autoFocus
          placeholder="Development"
          value={name}
          error={faultOf(save.error, "name")}
          onChange={(event) => setName(event.target.value)}
        />
        {!hasFaults(save.error) && <ErrorNotice error={save.error} />}
        <div className="dialog-foot">
          <Button kind="quiet" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" kind="primary" busy={save.isPending}>
            {workspace ? "Rename" : "Create and open"}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function EndDialog({
  projectId,
  workspace,
  onClose,
}: {
  readonly projectId: string;
  readonly workspace: Workspace;
  readonly onClose: () => void;
}) {
  const remove = useAction(() => client.workspaces.delete(workspace.id), {
    keys: [["project", projectId, "workspaces"]],
    done: `${workspace.name} was deleted.`,
    onSuccess: onClose,
  });
  return (
    <ConfirmDialog
      title={`Delete ${workspace.name}?`}
      action="Delete the workspace"
      busy={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate(undefined)}
      onClose={onClose}
    >
      All its files and their history go with it. It cannot be undone.
    </ConfirmDialog>
  );
}
