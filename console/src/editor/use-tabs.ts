import { useMemo, useState } from "react";

/** The files a person has open in a workspace, for as long as the browser's tab lives. */
export interface Tabs {
  readonly paths: readonly string[];
  add(path: string): void;
  /** Gives the file to show in its place; undefined when it was the last. */
  close(path: string): string | undefined;
  /** Follows a file or folder that was moved. */
  move(from: string, to: string): void;
}

/** Tabs of a workspace. */
export function useTabs(workspaceId: string, active: string | undefined): Tabs {
  const key = `atelier.tabs.${workspaceId}`;
  const [paths, setPaths] = useState<readonly string[]>(() => read(key, active));
  return useMemo(() => {
    const set = (next: readonly string[]) => {
      setPaths(next);
      write(key, next);
    };
    return {
      paths,
      add(path) {
        if (!paths.includes(path)) set([...paths, path]);
      },
      close(path) {
        const index = paths.indexOf(path);
        const next = paths.filter((each) => each !== path);
        set(next);
        return next[Math.min(index, next.length - 1)];
      },
      move(from, to) {
        set(
          paths.map((path) =>
            path === from || path.startsWith(`${from}/`) ? `${to}${path.slice(from.length)}` : path,
          ),
        );
      },
    };
  }, [paths, key]);
}

function read(key: string, active: string | undefined): readonly string[] {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(key) ?? "[]");
    const paths = Array.isArray(kept) ? kept.filter((path): path is string => typeof path === "string") : [];
    return active && !paths.includes(active) ? [...paths, active] : paths;
  } catch {
    return active ? [active] : [];
  }
}

function write(key: string, paths: readonly string[]): void {
  try {
    sessionStorage.setItem(key, JSON.stringify(paths));
  } catch {
    // The tabs are forgotten with the page.
  }
}
