import { lstatSync, readlinkSync, realpathSync } from "node:fs";
import type { EngineFiles } from "./engine-packages.js";

// Only what the dynamic loader needs: a sandbox without a shell, a compiler or another interpreter.
const LIBRARY_DIRS = ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/nix/store"];

/**
 * Arguments of `bwrap` for one engine host: new namespaces without network, no capabilities, a read-only view of Node, its
 * libraries and the engines, and a system call filter read from `seccompDescriptor`.
 */
export function bubblewrapArguments(
  files: EngineFiles,
  nodeArguments: readonly string[],
  seccompDescriptor: number | undefined,
): string[] {
  const node = realpathSync(process.execPath);
  return [
    ...["--unshare-user", "--unshare-all", "--disable-userns", "--die-with-parent", "--new-session"],
    // It clears the guest's environment only; its own, readable as /proc/1/environ, must be empty from the start.
    ...["--clearenv", "--cap-drop", "ALL", "--uid", "65534", "--gid", "65534", "--hostname", "sandbox"],
    ...LIBRARY_DIRS.flatMap(libraryArguments),
    ...["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache", "--proc", "/proc", "--dev", "/dev"],
    ...[node, files.hostDir, ...files.packageDirs].flatMap((path) => ["--ro-bind", path, path]),
    ...["--chdir", files.hostDir, "--remount-ro", "/"],
    ...(seccompDescriptor === undefined ? [] : ["--seccomp", String(seccompDescriptor)]),
    ...["--", node, ...nodeArguments],
  ];
}

/** On most systems /lib is a link into /usr. */
function libraryArguments(dir: string): string[] {
  try {
    return lstatSync(dir).isSymbolicLink() ? ["--symlink", readlinkSync(dir), dir] : ["--ro-bind", dir, dir];
  } catch {
    return [];
  }
}
