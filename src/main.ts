import "dotenv/config";
import { pathToFileURL } from "node:url";
import { createApp } from "./app.js";
import { ConfigError, type ProcessRole, readConfig } from "./config.js";
import { migrateOnly } from "./migrate-command.js";

/** Longest time from a signal to the end of the process. */
const FORCE_MS = 25_000;

/**
 * Runs one command: `serve` (default; the roles of `ROLES`), `worker`, `migrate`.
 *
 * @returns the exit code, or undefined while the service runs.
 */
export async function main(command: string | undefined): Promise<number | undefined> {
  try {
    if (command === "migrate") return await migrateOnly(readConfig(process.env), say);
    const roles: Record<string, ProcessRole[] | undefined> = { worker: ["worker"] };
    const env = command === "worker" ? { ...process.env, ROLES: roles.worker?.join(",") } : process.env;
    if (command !== undefined && command !== "serve" && command !== "worker") {
      say(`Unknown command ${command}; there are serve, worker and migrate.`);
      return 2;
    }
    await serve(env);
    return undefined;
  } catch (error) {
    say(
      error instanceof ConfigError || isExpected(error)
        ? error.message
        : String(error instanceof Error ? error.stack : error),
    );
    return 1;
  }
}

async function serve(env: NodeJS.ProcessEnv): Promise<void> {
  const app = await createApp(readConfig(env), { announce: say });
  let stopping = false;
  const stop = (reason: string, code: number) => {
    if (stopping) {
      // A second signal means: now.
      if (code === 0) process.exit(130);
      return;
    }
    stopping = true;
    setTimeout(() => process.exit(code === 0 ? 124 : code), FORCE_MS).unref();
    app.logger.info("stopping", { reason });
    void app.stop().finally(() => process.exit(code));
  };
  process.on("SIGTERM", () => stop("SIGTERM", 0));
  process.on("SIGINT", () => stop("SIGINT", 0));
  // After an unknown fault the state of the process is not to be trusted: end in order, and let a supervisor restart it.
  process.on("uncaughtException", (error) => {
    app.logger.error("uncaught exception", { error });
    stop("uncaughtException", 1);
  });
  process.on("unhandledRejection", (error) => {
    app.logger.error("unhandled rejection", { error });
    stop("unhandledRejection", 1);
  });
  await app.start();
}

function isExpected(error: unknown): error is Error {
  return error instanceof Error && (error as { expected?: boolean }).expected === true;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

const entry = process.argv[1];
const startedHere =
  entry !== undefined && (import.meta.url === pathToFileURL(entry).href || entry.endsWith("start.mjs"));
if (startedHere) {
  const code = await main(process.argv[2]);
  if (code !== undefined) process.exit(code);
}
