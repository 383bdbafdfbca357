import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { z } from "zod";
import { productionFaults, secretFaults } from "./config-production.js";
import {
  address,
  duration,
  flag,
  hostAndPort,
  list,
  number,
  origin,
  port,
  proxies,
  rateLimit,
  text,
} from "./config-values.js";

const ROLES = ["api", "realtime", "worker"] as const;
const POSTGRES = address("postgres", "postgresql");

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** The roles one process can have. */
export type ProcessRole = (typeof ROLES)[number];

/** Every variable the service reads, with its default; the configuration table in the README follows this order. */
export const environmentSchema = z.object({
  NODE_ENV: z.enum(["development", "test", "production"]).default("development"),
  HOST: text.optional(),
  PORT: port.default(3000),
  WS_PORT: port.optional(),
  API_VERSION: z
    .string()
    .regex(/^v\d+$/, "must look like v1")
    .default("v1"),
  PUBLIC_URL: z.url({ protocol: /^https?$/, error: "must be an http(s) URL" }).optional(),
  PUBLIC_WS_URL: z
    .url({ protocol: /^wss?$/, error: "must be a ws(s) URL" })
    .transform((value) => value.replace(/\/+$/, ""))
    .optional(),
  TRUST_PROXY: proxies.optional(),
  ROLES: list(z.enum(ROLES))
    .refine((roles) => roles.length > 0, "must name at least one role")
    .default([...ROLES]),
  DATA_DIR: text.default("./data"),
  ALLOW_EMBEDDED: flag.default(false),

  DATABASE_URL: POSTGRES.optional(),
  POSTGRES_HOST: text.optional(),
  POSTGRES_PORT: port.default(5432),
  POSTGRES_DB: text.default("collaborative_workspace"),
  POSTGRES_USER: text.optional(),
  POSTGRES_PASSWORD: text.optional(),
  POSTGRES_SSL: flag.default(false),
  POSTGRES_POOL_MAX: number(2, 500).default(20),
  POSTGRES_REPLICA_URLS: list(POSTGRES).default([]),
  STATEMENT_TIMEOUT_MS: number(100, 600_000).default(5_000),

  MONGODB_URI: address("mongodb", "mongodb+srv").optional(),
  ACTIVITY_RETENTION_DAYS: number(0, 36_500).default(365),

  REDIS_URL: address("redis", "rediss").optional(),
  REDIS_HOST: text.optional(),
  REDIS_PORT: port.default(6379),
  REDIS_USERNAME: text.optional(),
  REDIS_PASSWORD: text.optional(),
  REDIS_TLS: flag.default(false),
  REDIS_SENTINELS: list(hostAndPort).default([]),
  REDIS_SENTINEL_MASTER: text.default("mymaster"),
  REDIS_CLUSTER_NODES: list(hostAndPort).default([]),

  S3_BUCKET: text.optional(),
  S3_REGION: text.default("us-east-1"),
  S3_ENDPOINT: z.url({ protocol: /^https?$/, error: "must be an http(s) URL" }).optional(),
  S3_ACCESS_KEY_ID: text.optional(),
  S3_SECRET_ACCESS_KEY: text.optional(),
  S3_FORCE_PATH_STYLE: flag.default(false),
  S3_PREFIX: z
    .string()
    .regex(/^([\w.-]+\/)*$/, "must be names that each end with /")
    .default(""),
  FILE_MAX_BYTES: number(1, 5 * GIB).default(50 * MIB),
  WORKSPACE_MAX_BYTES: number(1, 1024 * GIB).default(GIB),
  WORKSPACE_MAX_FILES: number(1, 100_000).default(10_000),
  ARCHIVE_MAX_BYTES: number(1, 5 * GIB).default(256 * MIB),

  JWT_SECRET: text.optional(),
  JWT_REFRESH_SECRET: text.optional(),
  JWT_EXPIRES_IN: duration.default(15 * 60_000),
  JWT_REFRESH_EXPIRES_IN: duration.default(7 * 86_400_000),
  SESSION_ABSOLUTE_EXPIRES_IN: duration.default(30 * 86_400_000),
  BCRYPT_ROUNDS: number(4, 15).default(10),

  CORS_ORIGIN: list(origin).default([]),
  SMTP_URL: address("smtp", "smtps").optional(),
  MAIL_FROM: text.default("Atelier <no-reply@localhost>"),

  RATE_LIMIT_MODE: z.enum(["tiered", "strict"]).default("tiered"),
  RATE_LIMIT_MAX: rateLimit.default(100),
  RATE_LIMIT_WINDOW_MS: number(1_000, 86_400_000).default(15 * 60_000),
  RATE_LIMIT_USER_MAX: rateLimit.default(3_000),
  RATE_LIMIT_WRITE_MAX: rateLimit.default(600),
  AUTH_RATE_LIMIT_MAX: rateLimit.default(5),
  REGISTER_RATE_LIMIT_MAX: rateLimit.default(10),
  REFRESH_RATE_LIMIT_MAX: rateLimit.default(30),
  INVITE_RATE_LIMIT_MAX: rateLimit.default(20),
  ARCHIVE_RATE_LIMIT_MAX: rateLimit.default(60),
  JOB_RUNS_PER_HOUR: rateLimit.default(30),
  JOB_RUNNING_PER_USER: number(1, 1_000).default(2),
  JOB_QUEUED_PER_USER: number(1, 100_000).default(20),
  JOB_SCHEDULES_PER_USER: number(0, 10_000).default(10),
  JOB_RETENTION_DAYS: number(0, 36_500).default(30),
  WS_MESSAGES_PER_SECOND: rateLimit.default(50),
  WS_BYTES_PER_SECOND: rateLimit.default(256 * 1024),
  WS_CONNECTS_PER_MINUTE: rateLimit.default(60),
  WS_SOCKETS_PER_USER: number(1, 10_000).default(20),

  DEMO: flag.default(true),
  FEATURE_REAL_TIME_COLLABORATION: flag.default(true),
  FEATURE_CODE_EXECUTION: flag.default(true),
  SANDBOX_NATIVE: flag.default(false),
  SANDBOX_SLOTS: number(1, 64).default(Math.min(availableParallelism(), 4)),
  WORKER_CONCURRENCY: number(1, 1_000).default(10),

  LOG_LEVEL: z.enum(["error", "warn", "info", "debug"]).default("info"),
  LOG_DIR: text.default("./logs"),
  METRICS_TOKEN: text.optional(),
});

/** The parsed environment, defaults filled in. */
export type Environment = z.infer<typeof environmentSchema>;

/** The frozen configuration of one process. */
export interface Config extends Readonly<Environment> {
  /** Port of the sockets: `WS_PORT`, or the one after `PORT`; equal to `PORT` means one listener. */
  readonly wsPort: number;
  /** Base of links we send and print, without a trailing slash. */
  readonly publicUrl: string;
  /** True when the named store is embedded in this process. */
  readonly embedded: { readonly database: boolean; readonly activity: boolean; readonly redis: boolean };
}

/** Thrown for an environment that cannot be started with; the message names each variable and never holds a value. */
export class ConfigError extends Error {
  constructor(readonly faults: readonly string[]) {
    super(`The configuration is not usable:\n${faults.map((fault) => `  - ${fault}`).join("\n")}`);
    this.name = "ConfigError";
  }
}

/**
 * Reads and checks the environment.
 *
 * `X_FILE` gives the value of `X` from a file (trailing line break removed). Empty values count as unset.
 *
 * @throws ConfigError naming every variable that is wrong.
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const faults: string[] = [];
  const parsed = environmentSchema.safeParse(withFiles(env, faults));
  if (!parsed.success) {
    faults.push(...parsed.error.issues.map((issue) => `${issue.path.join(".")} ${issue.message}`));
    throw new ConfigError(faults);
  }
  const values = parsed.data;
  const config: Config = Object.freeze({
    ...values,
    wsPort: values.WS_PORT ?? (values.PORT === 0 ? 0 : values.PORT + 1),
    publicUrl: (values.PUBLIC_URL ?? `http://localhost:${values.PORT}`).replace(/\/+$/, ""),
    embedded: {
      database: !values.DATABASE_URL && !values.POSTGRES_HOST,
      activity: !values.MONGODB_URI,
      redis:
        !values.REDIS_URL &&
        !values.REDIS_HOST &&
        !values.REDIS_SENTINELS.length &&
        !values.REDIS_CLUSTER_NODES.length,
    },
  });
  if (config.wsPort > 65_535) faults.push("WS_PORT is not set, and PORT leaves no port after it");
  if (config.embedded.database && ROLES.some((role) => !config.ROLES.includes(role))) {
    faults.push("ROLES must be all of api, realtime, worker while the database is embedded");
  }
  if ((config.S3_ACCESS_KEY_ID === undefined) !== (config.S3_SECRET_ACCESS_KEY === undefined))
    faults.push("S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY are set together, or neither is");
  faults.push(...secretFaults(config), ...productionFaults(config));
  if (faults.length > 0) throw new ConfigError(faults);
  return config;
}

function withFiles(
  env: Readonly<Record<string, string | undefined>>,
  faults: string[],
): Record<string, string> {
  const values: Record<string, string> = {};
  for (const name of Object.keys(environmentSchema.shape)) {
    const file = env[`${name}_FILE`];
    const plain = env[name];
    if (plain !== undefined && plain !== "") {
      if (file) faults.push(`${name} and ${name}_FILE are both set`);
      values[name] = plain;
    } else if (file) {
      try {
        values[name] = readFileSync(file, "utf8").replace(/\r?\n$/, "");
      } catch {
        faults.push(`${name}_FILE names a file that cannot be read`);
      }
    }
  }
  return values;
}
