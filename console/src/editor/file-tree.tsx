import type { File } from "atelier-client";
import { type KeyboardEvent, useMemo, useRef, useState } from "react";
import { IconButton } from "../ui/button.js";
import { Icon } from "../ui/icon.js";
import { Menu } from "../ui/menu.js";
import { rowsOf, type TreeNode, type TreeRow, treeOf } from "./file-tree-model.js";

/** What can be asked of an entry. */
export type TreeAction = "new" | "rename" | "delete" | "download";

/** Files and folders: arrows move, Enter opens, F2 renames, Delete deletes. */
export function FileTree({
  files,
  active,
  writes,
  onOpen,
  onAction,
}: {
  readonly files: readonly File[];
  readonly active: string | undefined;
  readonly writes: boolean;
  readonly onOpen: (path: string) => void;
  readonly onAction: (action: TreeAction, node: TreeNode) => void;
}) {
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const [focused, setFocused] = useState<string>();
  const tree = useRef<HTMLDivElement>(null);
  const nodes = useMemo(() => treeOf(files), [files]);
  const rows = useMemo(() => rowsOf(nodes, closed), [nodes, closed]);
  const reachable = rows.some(({ node }) => node.path === focused)
    ? focused
    : (rows.find(({ node }) => node.path === active) ?? rows[0])?.node.path;

  const toggle = (path: string, open: boolean) => {
    const next = new Set(closed);
    if (open) next.delete(path);
    else next.add(path);
    setClosed(next);
  };
  const focus = (row: TreeRow | undefined) => {
    if (!row) return;
    setFocused(row.node.path);
    tree.current?.querySelector<HTMLElement>(`[data-path="${CSS.escape(row.node.path)}"]`)?.focus();
  };
  const activate = ({ node, open }: TreeRow) => {
    if (node.file) onOpen(node.path);
    else toggle(node.path, !open);
  };
  const onKey = (event: KeyboardEvent, row: TreeRow, index: number) => {
    const { node, open, level } = row;
    const keys: Record<string, () => void> = {
      ArrowDown: () => focus(rows[index + 1]),
      ArrowUp: () => focus(rows[index - 1]),
      Home: () => focus(rows[0]),
      End: () => focus(rows.at(-1)),
      ArrowRight: () => (node.file || open ? focus(rows[index + 1]) : toggle(node.path, true)),
      ArrowLeft: () =>
        !node.file && open
          ? toggle(node.path, false)
          : focus(rows.slice(0, index).findLast((above) => above.level < level)),
      Enter: () => activate(row),
      " ": () => activate(row),
      F2: () => writes && onAction("rename", node),
      Delete: () => writes && onAction("delete", node),
    };
    const act = event.target === event.currentTarget ? keys[event.key] : undefined;
    if (!act) return;
    event.preventDefault();
    act();
  };

  return (
    <div className="tree" role="tree" aria-label="Files" ref={tree}>
      {rows.map((row, index) => {
        const { node, level, open } = row;
        return (
          <div
            key={node.path}
            role="treeitem"
            aria-level={level}
            aria-expanded={node.file ? undefined : open}
            aria-selected={node.path === active}
            tabIndex={node.path === reachable ? 0 : -1}
            data-path={node.path}
            className={`tree-row tree-level-${Math.min(level, 8)}`}
            onClick={() => activate(row)}
            onFocus={(event) => event.target === event.currentTarget && setFocused(node.path)}
            onKeyDown={(event) => onKey(event, row, index)}
          >
            <Icon
              name={
                node.file
                  ? node.file.kind === "binary"
                    ? "image"
                    : "file"
                  : open
                    ? "chevron-down"
                    : "chevron-right"
              }
            />
            <span className="truncate grow">{node.name}</span>
            <RowMenu node={node} writes={writes} onAction={onAction} />
          </div>
        );
      })}
    </div>
  );
}

function RowMenu({
  node,
  writes,
  onAction,
}: {
  readonly node: TreeNode;
  readonly writes: boolean;
  readonly onAction: (action: TreeAction, node: TreeNode) => void;
}) {
  const item = (action: TreeAction, icon: "file-plus" | "pencil" | "download" | "trash", label: string) => (
    <button
      type="button"
      role="menuitem"
      className={action === "delete" ? "menu-item menu-item-danger" : "menu-item"}
      onClick={() => onAction(action, node)}
    >
      <Icon name={icon} />
      {label}
    </button>
  );
  if (!writes && !node.file) return null;
  return (
    <span
      className="tree-menu"
      onClick={(event) => event.stopPropagation()}
      onKeyDown={(event) => event.stopPropagation()}
    >
      <Menu
        label={`What to do with ${node.name}`}
        trigger={(props) => (
          <IconButton {...props} icon="dots" label={`More for ${node.name}`} small tabIndex={-1} />
        )}
      >
        {writes && !node.file && item("new", "file-plus", "New file here")}
        {node.file && item("download", "download", "Download")}
        {writes && item("rename", "pencil", "Rename or move")}
        {writes && item("delete", "trash", "Delete")}
      </Menu>
    </span>
  );
}
