import type { File } from "atelier-client";

/** A folder or a file of the tree. */
export interface TreeNode {
  readonly name: string;
  readonly path: string;
  /** Undefined for a folder. */
  readonly file: File | undefined;
  readonly children: readonly TreeNode[];
}

/** A row of the tree as it is shown. */
export interface TreeRow {
  readonly node: TreeNode;
  /** From 1. */
  readonly level: number;
  readonly open: boolean;
}

interface Folder {
  readonly files: File[];
  readonly folders: Map<string, Folder>;
}

/** Folders before files, each by name. */
export function treeOf(files: readonly File[]): readonly TreeNode[] {
  const root: Folder = { files: [], folders: new Map() };
  for (const file of files) {
    let at = root;
    for (const part of file.path.split("/").slice(0, -1)) {
      let next = at.folders.get(part);
      if (!next) at.folders.set(part, (next = { files: [], folders: new Map() }));
      at = next;
    }
    at.files.push(file);
  }
  return nodesOf(root, "");
}

function nodesOf(folder: Folder, base: string): TreeNode[] {
  const folders = [...folder.folders].map(([name, below]): TreeNode => {
    const path = `${base}${name}`;
    return { name, path, file: undefined, children: nodesOf(below, `${path}/`) };
  });
  const files = folder.files.map(
    (file): TreeNode => ({ name: nameOf(file.path), path: file.path, file, children: [] }),
  );
  const byName = (a: TreeNode, b: TreeNode) => a.name.localeCompare(b.name, undefined, { numeric: true });
  return [...folders.sort(byName), ...files.sort(byName)];
}

/** The rows that can be seen while these folders are closed. */
export function rowsOf(nodes: readonly TreeNode[], closed: ReadonlySet<string>, level = 1): TreeRow[] {
  return nodes.flatMap((node) => {
    const open = node.file === undefined && !closed.has(node.path);
    return [{ node, level, open }, ...(open ? rowsOf(node.children, closed, level + 1) : [])];
  });
}

/** The last part of a path. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** What is wrong with a path somebody enters; undefined when nothing is. */
export function pathFault(path: string, taken: readonly string[]): string | undefined {
  if (path.trim() === "") return "Enter a name.";
  if (path.length > 200) return "At most 200 characters.";
  if (path.startsWith("/") || path.endsWith("/")) return "Begin and end with a name, without a slash.";
  const parts = path.split("/");
  if (parts.some((part) => part.trim() === "" || part === "." || part === ".."))
    return "Every part between slashes needs a name, and . and .. are none.";
  if (/[\\:*?"<>|]/.test(path)) return 'These signs are not allowed: \\ : * ? " < > |';
  const lower = path.toLowerCase();
  if (taken.some((each) => each.toLowerCase() === lower)) return "There is a file of this name.";
  if (taken.some((each) => each.toLowerCase().startsWith(`${lower}/`)))
    return "There is a folder of this name.";
  if (taken.some((each) => lower.startsWith(`${each.toLowerCase()}/`)))
    return "A file cannot be inside a file.";
  return undefined;
}
