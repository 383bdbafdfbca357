import type { Workspace, File as WorkspaceFile } from "atelier-client";
import { type DragEvent, useRef, useState } from "react";
import { IconButton } from "../ui/button.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Skeleton } from "../ui/feedback.js";
import { DeleteDialog, NewFileDialog, RenameDialog } from "./file-dialogs.js";
import { FileTree, type TreeAction } from "./file-tree.js";
import type { TreeNode } from "./file-tree-model.js";
import { useDownload, useUpload } from "./transfers.js";

type Asking =
  | { readonly kind: "new"; readonly folder: string }
  | { readonly kind: "rename" | "delete"; readonly node: TreeNode };

/** The files of a workspace and what can be done with them. Files can be dropped on it. */
export function FilePanel({
  workspace,
  files,
  error,
  onRetry,
  active,
  writes,
  onOpen,
  onMoved,
  onDeleted,
}: {
  readonly workspace: Workspace;
  readonly files: readonly WorkspaceFile[] | undefined;
  readonly error: unknown;
  readonly onRetry: () => void;
  readonly active: string | undefined;
  readonly writes: boolean;
  readonly onOpen: (path: string) => void;
  readonly onMoved: (from: string, to: string) => void;
  readonly onDeleted: (path: string) => void;
}) {
  const [asking, setAsking] = useState<Asking>();
  const [over, setOver] = useState(false);
  const picker = useRef<HTMLInputElement>(null);
  const upload = useUpload(workspace.id, files ?? []);
  const download = useDownload(workspace);
  const taken = files?.map(({ path }) => path) ?? [];
  const done = () => setAsking(undefined);

  const act = (action: TreeAction, node: TreeNode) => {
    if (action === "new") setAsking({ kind: "new", folder: `${node.path}/` });
    else if (action === "download") download.file(node.path);
    else setAsking({ kind: action, node });
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    if (writes) upload.begin([...event.dataTransfer.files]);
  };

  return (
    <section
      className={over ? "files files-over" : "files"}
      aria-label="Files"
      onDragOver={(event) => {
        if (!writes || !event.dataTransfer.types.includes("Files")) return;
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <div className="files-head">
        <h2 className="grow truncate">Files</h2>
        {writes && (
          <>
            <IconButton
              icon="file-plus"
              label="New file"
              small
              onClick={() => setAsking({ kind: "new", folder: "" })}
            />
            <IconButton icon="upload" label="Upload files" small onClick={() => picker.current?.click()} />
            <input
              ref={picker}
              type="file"
              multiple
              hidden
              aria-label="Files to upload"
              onChange={({ currentTarget }) => {
                upload.begin([...(currentTarget.files ?? [])]);
                currentTarget.value = "";
              }}
            />
          </>
        )}
      </div>
      {upload.progress && (
        <p className="files-note small muted" role="status">
          {upload.progress}
        </p>
      )}
      {error != null && <ErrorNotice error={error} onRetry={onRetry} />}
      {!files && error == null && <Skeleton rows={5} />}
      {files && <FileTree files={files} active={active} writes={writes} onOpen={onOpen} onAction={act} />}
      {upload.question}
      {asking?.kind === "new" && (
        <NewFileDialog
          workspaceId={workspace.id}
          folder={asking.folder}
          taken={taken}
          onMade={onOpen}
          onClose={done}
        />
      )}
      {asking?.kind === "rename" && (
        <RenameDialog
          workspaceId={workspace.id}
          path={asking.node.path}
          taken={taken}
          onMoved={onMoved}
          onClose={done}
        />
      )}
      {asking?.kind === "delete" && (
        <DeleteDialog workspaceId={workspace.id} node={asking.node} onDeleted={onDeleted} onClose={done} />
      )}
    </section>
  );
}
