import { type FormEvent, useState } from "react";
import { client } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { Button } from "../ui/button.js";
import { ConfirmDialog } from "../ui/confirm-dialog.js";
import { Dialog } from "../ui/dialog.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { TextField } from "../ui/field.js";
import { pathFault, type TreeNode } from "./file-tree-model.js";

const filesOf = (workspaceId: string) => [["workspace", workspaceId, "files"]];

/** Asks for the path of a new file; folders come with it. */
export function NewFileDialog({
  workspaceId,
  folder,
  taken,
  onMade,
  onClose,
}: {
  readonly workspaceId: string;
  readonly folder: string;
  readonly taken: readonly string[];
  readonly onMade: (path: string) => void;
  readonly onClose: () => void;
}) {
  const make = useAction((path: string) => client.files.write(workspaceId, path, ""), {
    keys: filesOf(workspaceId),
    onSuccess: ({ path }) => {
      onClose();
      onMade(path);
    },
  });
  return (
    <PathDialog
      title="New file"
      label="Name"
      hint="With slashes for folders, such as src/index.js."
      action="Create"
      initial={folder}
      taken={taken}
      busy={make.isPending}
      error={make.error}
      onSubmit={make.mutate}
      onClose={onClose}
    />
  );
}

/** Asks where a file or folder shall be. */
export function RenameDialog({
  workspaceId,
  path,
  taken,
  onMoved,
  onClose,
}: {
  readonly workspaceId: string;
  readonly path: string;
  readonly taken: readonly string[];
  readonly onMoved: (from: string, to: string) => void;
  readonly onClose: () => void;
}) {
  const move = useAction((to: string) => client.files.move(workspaceId, path, to), {
    keys: filesOf(workspaceId),
    onSuccess: (_files, to) => {
      onClose();
      onMoved(path, to);
    },
  });
  return (
    <PathDialog
      title="Rename or move"
      label="Path"
      hint="Whoever has it open stays in it."
      action="Move"
      initial={path}
      taken={taken.filter((each) => each !== path && !each.startsWith(`${path}/`))}
      busy={move.isPending}
      error={move.error}
      onSubmit={(to) => (to === path ? onClose() : move.mutate(to))}
      onClose={onClose}
    />
  );
}

function PathDialog({
  title,
  label,
  hint,
  action,
  initial,
  taken,
  busy,
  error,
  onSubmit,
  onClose,
}: {
  readonly title: string;
  readonly label: string;
  readonly hint: string;
  readonly action: string;
  readonly initial: string;
  readonly taken: readonly string[];
  readonly busy: boolean;
  readonly error: unknown;
  readonly onSubmit: (path: string) => void;
  readonly onClose: () => void;
}) {
  const [path, setPath] = useState(initial);
  const [tried, setTried] = useState(false);
  const fault = pathFault(path, taken);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (!fault) onSubmit(path);
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form className="stack" onSubmit={submit} noValidate>
        <TextField
          label={label}
          hint={hint}
          autoFocus
          autoComplete="off"
          spellCheck={false}
          value={path}
          error={tried ? fault : undefined}
          onChange={(event) => setPath(event.target.value)}
        />
        <ErrorNotice error={error} />
        <div className="dialog-foot">
          <Button kind="quiet" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" kind="primary" busy={busy}>
            {action}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** Asks before a file, or a folder with all below it, goes. */
export function DeleteDialog({
  workspaceId,
  node,
  onDeleted,
  onClose,
}: {
  readonly workspaceId: string;
  readonly node: TreeNode;
  readonly onDeleted: (path: string) => void;
  readonly onClose: () => void;
}) {
  const below = filesBelow(node);
  const remove = useAction(
    async () => {
      for (const path of below) await client.files.delete(workspaceId, path);
    },
    {
      keys: filesOf(workspaceId),
      onSuccess: () => {
        onClose();
        onDeleted(node.path);
      },
    },
  );
  return (
    <ConfirmDialog
      title={`Delete ${node.name}?`}
      action="Delete"
      busy={remove.isPending}
      error={remove.error}
      onConfirm={() => remove.mutate(undefined)}
      onClose={onClose}
    >
      {node.file
        ? "It is gone for everybody, also for those who have it open."
        : `The folder and ${below.length === 1 ? "the file" : `all ${below.length} files`} in it are gone for everybody.`}
    </ConfirmDialog>
  );
}

function filesBelow(node: TreeNode): readonly string[] {
  return node.file ? [node.path] : node.children.flatMap(filesBelow);
}
