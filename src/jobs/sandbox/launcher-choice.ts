import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import type { Launcher } from "./launch.js";

/** A launcher that was tried and not taken. */
export interface RefusedLauncher {
  readonly name: Launcher["name"];
  readonly reason: string;
}

const PROBE_TIMEOUT_MS = 15_000;
// The exit codes of host/fence-probe.mjs.
const ANSWER = 64;
const READ = 1;
const REACHED = 2;
const ENVIRONMENT = 4;
const STARTED = 8;

/**
 * The first launcher under which a process really starts and really cannot do what it must not: read files of the system
 * and of this project, reach a port of this machine, see an environment, start another process.
 */
export async function chooseLauncher(
  candidates: readonly Launcher[],
): Promise<{ launcher: Launcher; refused: readonly RefusedLauncher[] }> {
  const server = createServer((socket) => socket.destroy());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const refused: RefusedLauncher[] = [];
    for (const launcher of candidates) {
      const reason = await tryLauncher(launcher, port);
      if (reason === undefined) return { launcher, refused };
      refused.push({ name: launcher.name, reason });
    }
    throw new Error(
      `No engine host can be started: ${refused.map(({ name, reason }) => `${name}: ${reason}`).join("; ")}`,
    );
  } finally {
    server.close();
  }
}

/** Why the launcher is not good, or undefined. */
async function tryLauncher(launcher: Launcher, port: number): Promise<string | undefined> {
  const read = ["/etc/passwd", fileURLToPath(import.meta.url)].filter((path) => existsSync(path));
  const { code, output } = await exitOf(launcher, JSON.stringify({ read, port }));
  if (code === null || code < ANSWER || code >= 2 * ANSWER)
    return `it did not start (${output || String(code)})`;
  const broken = code - ANSWER;
  if (broken & ENVIRONMENT) return "it has an environment";
  if (!launcher.fenced) return undefined;
  if (broken & READ) return "it reads files of this machine";
  if (broken & REACHED) return "it reaches the network";
  return broken & STARTED ? "it starts processes" : undefined;
}

function exitOf(launcher: Launcher, argument: string): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    let output = "";
    let timer: NodeJS.Timeout | undefined;
    const end = (code: number | null) => {
      clearTimeout(timer);
      resolve({ code, output: output.trim().split("\n")[0]?.slice(0, 200) ?? "" });
    };
    const fail = (error: unknown) => {
      output = error instanceof Error ? error.message : String(error);
      end(null);
    };
    try {
      const child = launcher.launch(0, "fence-probe.mjs", argument);
      timer = setTimeout(() => child.kill("SIGKILL"), PROBE_TIMEOUT_MS);
      child.stderr?.on("data", (chunk: Buffer) => {
        if (output.length < 500) output += chunk.toString();
      });
      child.once("error", fail);
      child.once("exit", end);
    } catch (error) {
      // Some failures to start, such as a user id that may not be taken, are thrown at once.
      fail(error);
    }
  });
}
