import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import type { Config } from "./config.js";

const stored = z.object({ JWT_SECRET: z.string().min(32), JWT_REFRESH_SECRET: z.string().min(32) });

/** The secrets tokens are signed with. */
export interface Secrets {
  readonly jwtSecret: string;
  readonly jwtRefreshSecret: string;
}

/**
 * The configured secrets; what is unset is made once and kept in `DATA_DIR/secrets.json` (mode 0600). Production never
 * gets here without both: `readConfig` refuses.
 */
export function readSecrets(config: Pick<Config, "JWT_SECRET" | "JWT_REFRESH_SECRET" | "DATA_DIR">): Secrets {
  if (config.JWT_SECRET !== undefined && config.JWT_REFRESH_SECRET !== undefined) {
    return { jwtSecret: config.JWT_SECRET, jwtRefreshSecret: config.JWT_REFRESH_SECRET };
  }
  const kept = keep(path.resolve(config.DATA_DIR));
  return {
    jwtSecret: config.JWT_SECRET ?? kept.JWT_SECRET,
    jwtRefreshSecret: config.JWT_REFRESH_SECRET ?? kept.JWT_REFRESH_SECRET,
  };
}

function keep(folder: string): z.output<typeof stored> {
  const file = path.join(folder, "secrets.json");
  let text: string | undefined;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  if (text !== undefined) return stored.parse(JSON.parse(text));
  const made = {
    JWT_SECRET: randomBytes(48).toString("base64url"),
    JWT_REFRESH_SECRET: randomBytes(48).toString("base64url"),
  };
  mkdirSync(folder, { recursive: true });
  const temporary = `${file}.${process.pid}`;
  writeFileSync(temporary, `${JSON.stringify(made, null, 2)}\n`, { mode: 0o600, flush: true });
  renameSync(temporary, file);
  return made;
}
