import { existsSync, lstatSync, readlinkSync, realpathSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import type { EngineFiles } from "./engine-packages.js";

// Only what the dynamic loader needs: a sandbox without a shell, a compiler or another interpreter.
const LIBRARY_DIRS = ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/nix/store"];

/** The `bwrap` of this machine, if it has one. */
export function findBubblewrap(): string | undefined {
  if (process.platform !== "linux") return undefined;
  const places = (process.env["PATH"] ?? "/usr/bin").split(delimiter).map((dir) => join(dir, "bwrap"));
  return places.find((path) => isAbsolute(path) && existsSync(path));
}

/**
 * Arguments of `bwrap` for one engine host: new namespaces without network, no capabilities, a read-only view of Node, its
 * libraries and the engines, a system call filter read from `seccompDescriptor`, and `work`, the one folder it may write.
 */
export function bubblewrapArguments(
  files: EngineFiles,
  nodeArguments: readonly string[],
  seccompDescriptor: number | undefined,
  work?: { readonly outside: string; readonly inside: string },
): string[] {
  const node = realpathSync(process.execPath);
  const visible = [node, files.hostDir, ...files.packageDirs];
  return [
    "--unshare-user --unshare-all --disable-userns --die-with-parent --new-session --cap-drop ALL".split(" "),
    "--uid 65534 --gid 65534 --hostname sandbox".split(" "),
    // It clears the guest's environment only; its own, readable as /proc/1/environ, must be empty from the start.
    ["--clearenv"],
    LIBRARY_DIRS.flatMap(libraryArguments),
    "--ro-bind-try /etc/ld.so.cache /etc/ld.so.cache --proc /proc --dev /dev".split(" "),
    visible.flatMap((path) => ["--ro-bind", path, path]),
    work === undefined ? [] : ["--bind", work.outside, work.inside],
    ["--chdir", work?.inside ?? files.hostDir, "--remount-ro", "/"],
    seccompDescriptor === undefined ? [] : ["--seccomp", String(seccompDescriptor)],
    ["--", node, ...nodeArguments],
  ].flat();
}

/** Arguments for a folder that on most systems is a link into /usr; none when it is not there. */
export function libraryArguments(dir: string): string[] {
  try {
    return lstatSync(dir).isSymbolicLink() ? ["--symlink", readlinkSync(dir), dir] : ["--ro-bind", dir, dir];
  } catch {
    return [];
  }
}
