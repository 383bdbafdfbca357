import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { chmod, chown, lchown, lstat, mkdir, readdir, stat } from "node:fs/promises";
import os from "node:os";
import path from "node:path";

/** Under which user the embedded server runs: PostgreSQL refuses to be root. */
export interface ServerAccount {
  /** Set when this process is root and the server gives up its rights to this user. */
  readonly uid?: number;
  readonly gid?: number;
  /** Words before the command: a user namespace in which root has another number. */
  readonly prefix: readonly string[];
}

const NOBODY = 65534;
const NAMESPACE = ["unshare", "--user", `--map-user=${NOBODY}`, `--map-group=${NOBODY}`, "--"];

/** Program, arguments and spawn options that run `file` under `account`. */
export function commandFor(
  account: ServerAccount,
  file: string,
  args: readonly string[],
): readonly [string, readonly string[], { uid?: number; gid?: number }] {
  const [program = file, ...rest] = [...account.prefix, file, ...args];
  const { uid, gid } = account;
  return [program, rest, uid === undefined ? {} : { uid, gid }];
}

/**
 * Chooses the account. A process that is not root keeps its own. Root takes the owner of the data when that is somebody
 * else, otherwise 65534; where that user cannot reach the programs or the data, root in a user namespace of its own.
 *
 * @param programs Absolute paths the server's user must be able to reach besides `dataDir`.
 */
export async function chooseAccount(dataDir: string, programs: readonly string[]): Promise<ServerAccount> {
  const own = process.getuid?.();
  if (own === undefined) return { prefix: [] };
  if (own !== 0) return { prefix: prefixFor(own) };
  const { uid, gid } = await ownerOf(dataDir);
  let blocked = await firstBlocked([path.dirname(dataDir), ...programs], uid, gid);
  if (blocked === undefined) {
    await letThrough(dataDir, gid);
    blocked = await firstBlocked([dataDir], uid, gid);
  }
  if (blocked === undefined) return { uid, gid, prefix: prefixFor(uid) };
  if (namespacesWork()) return { prefix: NAMESPACE };
  throw new Error(
    `The embedded PostgreSQL cannot run as root, and the user ${uid} it would run as cannot enter ${blocked}. ` +
      "Start as an ordinary user, or move the project and DATA_DIR to a place every user can enter, or set DATABASE_URL.",
  );
}

/** PostgreSQL does not work for a number without a name (a container started with any user); a namespace gives it one. */
function prefixFor(uid: number): readonly string[] {
  return hasName(uid) || !namespacesWork() ? [] : NAMESPACE;
}

function hasName(uid: number): boolean {
  try {
    if (uid === process.getuid?.()) return os.userInfo().username !== "";
    return new RegExp(`^[^:]*:[^:]*:${uid}:`, "m").test(readFileSync("/etc/passwd", "utf8"));
  } catch {
    return false;
  }
}

function namespacesWork(): boolean {
  const [program = "", ...args] = NAMESPACE;
  return process.platform === "linux" && spawnSync(program, [...args, "true"]).status === 0;
}

/** Makes `folder` private to the server's user, with everything that is in it. */
export async function giveTo(account: ServerAccount, folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const uid = account.uid ?? process.getuid?.() ?? 0;
  const gid = account.gid ?? process.getgid?.() ?? 0;
  if (process.getuid?.() === 0) await chownTree(folder, uid, gid);
  await chmod(folder, 0o700);
}

/** The first user that is not root among the owners of the data and of its folder. */
async function ownerOf(dataDir: string): Promise<{ uid: number; gid: number }> {
  for (const folder of [path.join(dataDir, "postgres", "data"), path.join(dataDir, "postgres"), dataDir]) {
    const found = await stat(folder).catch(() => undefined);
    if (found !== undefined && found.uid !== 0) return { uid: found.uid, gid: found.gid };
  }
  return { uid: NOBODY, gid: NOBODY };
}

/** Lets the server's group pass through DATA_DIR (not list it), when only root could: it holds root's other files too. */
async function letThrough(dataDir: string, gid: number): Promise<void> {
  const { mode, uid } = await stat(dataDir);
  if (uid !== 0 || (mode & 0o001) !== 0) return;
  await chown(dataDir, uid, gid);
  await chmod(dataDir, (mode & 0o7777) | 0o010);
}

async function firstBlocked(files: readonly string[], uid: number, gid: number): Promise<string | undefined> {
  for (const file of files) {
    const { root } = path.parse(file);
    let folder = root;
    for (const part of ["", ...file.slice(root.length).split(path.sep)]) {
      folder = path.join(folder, part);
      const found = await stat(folder);
      const bit = found.uid === uid ? 0o100 : found.gid === gid ? 0o010 : 0o001;
      if ((found.mode & bit) === 0) return folder;
    }
  }
  return undefined;
}

async function chownTree(entry: string, uid: number, gid: number): Promise<void> {
  const found = await lstat(entry);
  // A tree that belongs to the server already is not walked at each start.
  if (found.uid === uid && found.gid === gid) return;
  if (found.isDirectory()) {
    for (const name of await readdir(entry)) await chownTree(path.join(entry, name), uid, gid);
  }
  await lchown(entry, uid, gid);
}

/** A folder with a short path for sockets, because a socket's path must fit into about a hundred bytes. */
export async function shortFolder(account: ServerAccount, short: string): Promise<string> {
  await mkdir(short, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  const found = await lstat(short);
  // The parent is shared by all users of the machine: somebody else may have made the name first.
  const mine = found.uid === process.getuid?.() || found.uid === account.uid;
  const safe = found.isDirectory() && mine && (found.mode & 0o077) === 0;
  if (!safe)
    throw new Error(
      `${short} exists and is not a private folder of this user; remove it or choose a shorter DATA_DIR`,
    );
  return short;
}
