import { readdirSync } from "node:fs";
import path from "node:path";
import { ROOT } from "./prepare.mjs";

/** Every file below `folders` (relative to the project) whose name ends in one of `endings`. */
export function sources(folders, endings) {
  return folders
    .flatMap((folder) => walk(path.join(ROOT, folder)))
    .filter((file) => endings.some((ending) => file.endsWith(ending)));
}

function walk(folder) {
  let entries;
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
  return entries.flatMap((entry) => {
    const file = path.join(folder, entry.name);
    if (!entry.isDirectory()) return [file];
    return entry.name === "node_modules" || entry.name === "dist" ? [] : walk(file);
  });
}
