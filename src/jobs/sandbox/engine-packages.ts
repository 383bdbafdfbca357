import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The files an engine host needs: all that it may read. */
export interface EngineFiles {
  /** The folder of the host's own code. */
  readonly hostDir: string;
  /** Import name → absolute path. */
  readonly packages: Readonly<Record<string, string>>;
  /** Folders of those packages. */
  readonly packageDirs: readonly string[];
}

const IMPORTS = ["quickjs-wasi", "quickjs-wasi/quickjs.wasm", "quickjs-wasi/encoding.so"] as const;
const PACKAGES = ["quickjs-wasi"] as const;

/** Finds the host's code beside this file, in `src` as in `dist`, and the engines among the installed packages. */
export function findEngineFiles(): EngineFiles {
  const require = createRequire(import.meta.url);
  return {
    hostDir: fileURLToPath(new URL("./host", import.meta.url)),
    packages: Object.fromEntries(IMPORTS.map((name) => [name, require.resolve(name)])),
    packageDirs: PACKAGES.map((name) => dirname(require.resolve(join(name, "package.json")))),
  };
}
