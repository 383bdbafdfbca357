import { createHash } from "node:crypto";
import { open, rm, stat } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import path from "node:path";

/** A held lock; it also ends with the process, however that dies. */
export interface FolderLock {
  release(): Promise<void>;
}

/** Another live process holds the lock. */
export class FolderLockedError extends Error {
  /** The holder, when it told its process id in time. */
  readonly pid: number | undefined;

  constructor(pid: number | undefined) {
    super(pid === undefined ? "locked by another process" : `locked by process ${pid}`);
    this.name = "FolderLockedError";
    this.pid = pid;
  }
}

const ANSWER_MS = 300;
const TAKEOVER_STALE_MS = 5000;

/**
 * Locks a folder by listening on a Unix socket in it (a named pipe on Windows). The kernel closes the listener with its
 * process, so a lock is never believed because of a process id that somebody else has by now, nor across containers that
 * share the folder.
 *
 * @param folder Where the socket is put; it must be writable for this process only.
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const address = addressOf(folder);
  for (;;) {
    const server = (await listen(address)) ?? (await takeOver(address));
    if (server !== undefined) {
      return { release: () => new Promise((resolve) => server.close(() => resolve())) };
    }
  }
}

function addressOf(folder: string): string {
  if (process.platform !== "win32") return path.join(folder, "lock");
  return `\\\\.\\pipe\\atelier-${createHash("sha256").update(path.resolve(folder)).digest("hex").slice(0, 32)}`;
}

/** The listening lock, or undefined when the address is taken. */
function listen(address: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.end(String(process.pid));
    });
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen(address, () => {
      server.unref();
      resolve(server);
    });
  });
}

/** Throws when somebody listens; says false when the socket file is all that is left of its process. */
function isHeld(address: string): Promise<false> {
  return new Promise((resolve, reject) => {
    const socket = connect(address);
    let text = "";
    let connected = false;
    const held = () => {
      socket.destroy();
      reject(new FolderLockedError(/^\d+$/.test(text) ? Number(text) : undefined));
    };
    // A holder that is stopped or busy still accepts (the kernel does) but does not say who it is.
    const timer = setTimeout(held, ANSWER_MS);
    socket.setEncoding("utf8");
    socket.on("connect", () => {
      connected = true;
    });
    socket.on("data", (chunk: string) => {
      text += chunk;
    });
    socket.on("end", () => {
      clearTimeout(timer);
      held();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      if (!connected && (error.code === "ECONNREFUSED" || error.code === "ENOENT")) resolve(false);
      else if (connected || error.code === "EAGAIN") held();
      else reject(error);
    });
  });
}

/**
 * Removes what a dead process left and listens. Only the process that made the guard file removes a socket, so two that
 * come at once cannot remove each other's. Undefined: try again.
 */
async function takeOver(address: string): Promise<Server | undefined> {
  await isHeld(address);
  const guard = `${address}.takeover`;
  try {
    await (await open(guard, "wx")).close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    const made = await stat(guard).catch(() => undefined);
    if (made !== undefined && Date.now() - made.mtimeMs > TAKEOVER_STALE_MS) await rm(guard, { force: true });
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
    return undefined;
  }
  try {
    await isHeld(address);
    await rm(address, { force: true });
    return await listen(address);
  } finally {
    await rm(guard, { force: true });
  }
}
