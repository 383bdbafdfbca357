import type { Workspace, File as WorkspaceFile } from "atelier-client";
import { type DragEvent, useRef, useState } from "react";
import { IconButton } from "../ui/button.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Skeleton } from "../ui/feedback.js";
import { Icon, type IconName } from "../ui/icon.js";
import { Menu } from "../ui/menu.js";
import { DeleteDialog, NewFileDialog, RenameDialog } from "./file-dialogs.js";
import { FileTree, type TreeAction } from "./file-tree.js";
import type { TreeNode } from "./file-tree-model.js";
import { useDownload, useImport, useUpload } from "./transfers.js";

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
  const zipPicker = useRef<HTMLInputElement>(null);
  const take = useImport(workspace.id);
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
            <input
              ref={zipPicker}
              type="file"
              accept=".zip,application/zip"
              hidden
              aria-label="Zip to import"
              onChange={({ currentTarget }) => {
                const [zip] = currentTarget.files ?? [];
                if (zip) take.begin(zip);
                currentTarget.value = "";
              }}
            />
          </>
        )}
        <Menu
          label="Files"
          trigger={(props) => <IconButton {...props} icon="dots" label="More for all files" small />}
        >
          {writes && <PanelItem icon="upload" label="Upload files" onClick={() => picker.current?.click()} />}
          {writes && (
            <PanelItem icon="archive" label="Import a zip" onClick={() => zipPicker.current?.click()} />
          )}
          <PanelItem icon="download" label="Download all as a zip" onClick={download.archive} />
        </Menu>
      </div>
      {(take.busy || download.busy) && (
        <p className="files-note small muted" role="status">
          {take.busy ? "Importing the zip …" : "Packing the zip …"}
        </p>
      )}
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

function PanelItem({
  icon,
  label,
  onClick,
}: {
  readonly icon: IconName;
  readonly label: string;
  readonly onClick: () => void;
}) {
  return (
    <button type="button" role="menuitem" className="menu-item" onClick={onClick}>
      <Icon name={icon} />
      {label}
    </button>
  );
}
