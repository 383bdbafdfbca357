import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** The files an engine host needs: all that it may read. */
export interface EngineFiles {
  /** The folder of the host's own code. */
  readonly hostDir: string;
  /** Import name → absolute path; without those that are not installed. */
  readonly packages: Readonly<Record<string, string>>;
  /** Folders of those packages and of the packages they load. */
  readonly packageDirs: readonly string[];
}

const IMPORTS = ["quickjs-wasi", "quickjs-wasi/quickjs.wasm", "quickjs-wasi/encoding.so", "sucrase"];
// Each is found from the one before it, as Node itself would.
const PACKAGES = [
  ["quickjs-wasi"],
  ["sucrase"],
  ["sucrase", "lines-and-columns"],
  ["sucrase", "ts-interface-checker"],
  ["sucrase", "@jridgewell/gen-mapping"],
  ["sucrase", "@jridgewell/gen-mapping", "@jridgewell/sourcemap-codec"],
  ["sucrase", "@jridgewell/gen-mapping", "@jridgewell/trace-mapping"],
  ["sucrase", "@jridgewell/gen-mapping", "@jridgewell/trace-mapping", "@jridgewell/resolve-uri"],
];

// Packages that do not export the files that are used: package → files within it.
const INNER_FILES: Readonly<Record<string, readonly string[]>> = {
  "just-bash": ["python.cjs", "python.wasm", "python313.zip"].map(
    (name) => `vendor/cpython-emscripten/${name}`,
  ),
  wasmoon: ["dist/glue.wasm"],
  "sql.js": ["dist/sql-wasm.js", "dist/sql-wasm.wasm"],
};

/** Finds the host's code beside this file, in `src` as in `dist`, and the engines among the installed packages. */
export function findEngineFiles(): EngineFiles {
  const here = fileURLToPath(import.meta.url);
  const found = IMPORTS.map((name) => [name, resolveFrom(here, name)] as const);
  const inner = Object.entries(INNER_FILES).flatMap(([name, files]) => innerFiles(here, name, files));
  return {
    hostDir: join(dirname(here), "host"),
    packages: Object.fromEntries([
      ...found.flatMap(([name, path]) => (path === undefined ? [] : [[name, path]])),
      ...inner,
    ]),
    packageDirs: [...new Set([...packageDirs(here), ...inner.map(([, path]) => dirname(path))])],
  };
}

function packageDirs(here: string): string[] {
  return PACKAGES.flatMap((chain) => {
    const manifest = chain.reduce<string | undefined>(
      (from, name) => (from === undefined ? undefined : resolveFrom(from, `${name}/package.json`)),
      here,
    );
    return manifest === undefined ? [] : [dirname(manifest)];
  });
}

function innerFiles(here: string, name: string, files: readonly string[]): (readonly [string, string])[] {
  const main = resolveFrom(here, name);
  const folder = `${sep}${join("node_modules", name)}${sep}`;
  const end = main?.lastIndexOf(folder) ?? -1;
  if (main === undefined || end === -1) return [];
  return files
    .map((file) => [`${name}/${file}`, join(main.slice(0, end + folder.length), file)] as const)
    .filter(([, path]) => existsSync(path));
}

function resolveFrom(file: string, name: string): string | undefined {
  try {
    return createRequire(file).resolve(name);
  } catch {
    return undefined;
  }
}
