import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/**
 * The folders of an installed package and of all it needs, found as Node itself would find them; what is not installed here
 * (a binary for another platform) is passed over. Empty when the package itself is not there.
 */
export function packageFolders(name: string): readonly string[] {
  const folders = new Map<string, string>();
  collect(fileURLToPath(import.meta.url), name, folders);
  return [...folders.keys()];
}

function collect(from: string, name: string, folders: Map<string, string>): void {
  const folder = findFolder(from, name);
  if (folder === undefined || folders.has(folder)) return;
  folders.set(folder, name);
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
  const needed = { ...manifest.dependencies, ...manifest.optionalDependencies };
  for (const each of Object.keys(needed)) collect(join(folder, "package.json"), each, folders);
}

/** Looked for on the way up, because a package's `exports` may hide its manifest. */
function findFolder(from: string, name: string): string | undefined {
  const places = createRequire(from).resolve.paths(name) ?? [];
  return places
    .map((place) => join(place, name))
    .find((folder) => existsSync(join(folder, "package.json")) && folder !== dirname(from));
}
