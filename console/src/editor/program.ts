import type { Language, File as WorkspaceFile } from "atelier-client";
import { client } from "../data/client.js";
import { endingOf } from "./languages.js";

/** Files a run takes along, at most. */
const MOST_FILES = 100;
const MOST_BYTES = 512 * 1_024;

/** Data a program may read, besides files of its own language. */
const DATA = new Set(["json", "csv", "txt", "md", "tsv", "xml", "yaml", "yml", "toml"]);
/** Endings that belong together. */
const FAMILIES: readonly (readonly string[])[] = [
  ["js", "mjs", "cjs", "ts", "mts", "tsx", "jsx"],
  ["c", "h"],
  ["cpp", "hpp", "h"],
];

/** The payload of a run: the one file, or, when the language can, the others it may import too. */
export async function programOf({
  workspaceId,
  path,
  files,
  text,
  language,
}: {
  readonly workspaceId: string;
  readonly path: string;
  readonly files: readonly WorkspaceFile[];
  readonly text: string;
  readonly language: Language;
}): Promise<{ readonly code: string } | { readonly files: Record<string, string>; readonly entry: string }> {
  const ending = endingOf(path);
  const family = FAMILIES.find((each) => each.includes(ending)) ?? [ending];
  const others = files.filter(
    (file) =>
      file.kind === "text" &&
      file.path !== path &&
      (family.includes(endingOf(file.path)) || DATA.has(endingOf(file.path))),
  );
  if (!language.multiFile || others.length === 0) return { code: text };
  let bytes = text.length;
  const taken = others.slice(0, MOST_FILES).filter(({ size }) => (bytes += size) <= MOST_BYTES);
  const texts = await Promise.all(taken.map((file) => client.files.read(workspaceId, file.path)));
  return {
    files: Object.fromEntries([[path, text], ...taken.map((file, index) => [file.path, texts[index] ?? ""])]),
    entry: path,
  };
}
