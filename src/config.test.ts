import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { ConfigError, environmentSchema, readConfig } from "./config.js";

const SECRET = "Yx7-access-Yx7-access-Yx7-access-0001";
const OTHER = "Zq8-refresh-Zq8-refresh-Zq8-refresh-0002";
const PRODUCTION = {
  NODE_ENV: "production",
  JWT_SECRET: SECRET,
  JWT_REFRESH_SECRET: OTHER,
  POSTGRES_HOST: "db",
  MONGODB_URI: "mongodb://mongo/atelier",
  REDIS_HOST: "redis",
};

/** What the README that started this project names; the values are its own, but for what it leaves to fill in. */
const SEED = {
  NODE_ENV: "production",
  PORT: "3000",
  API_VERSION: "v1",
  POSTGRES_HOST: "your-postgres-host",
  POSTGRES_PORT: "5432",
  POSTGRES_DB: "collaborative_workspace",
  POSTGRES_USER: "your-username",
  POSTGRES_PASSWORD: "a long password of the database",
  MONGODB_URI: "mongodb://your-mongodb-uri",
  REDIS_HOST: "your-redis-host",
  REDIS_PORT: "6379",
  REDIS_PASSWORD: "a long password of redis",
  JWT_SECRET: SECRET,
  JWT_REFRESH_SECRET: OTHER,
  JWT_EXPIRES_IN: "15m",
  JWT_REFRESH_EXPIRES_IN: "7d",
  CORS_ORIGIN: "https://your-frontend-domain.com",
  FEATURE_REAL_TIME_COLLABORATION: "true",
  FEATURE_CODE_EXECUTION: "true",
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "atelier-config-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string): string {
  const at = path.join(folder, name);
  writeFileSync(at, content);
  return at;
}

/** The faults of an environment; none when it is usable. */
function faultsOf(env: Record<string, string | undefined>): readonly string[] {
  try {
    readConfig(env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
}

const expectFault = (env: Record<string, string | undefined>, ...wanted: RegExp[]) => {
  const faults = faultsOf(env);
  expect(faults).toHaveLength(wanted.length);
  for (const [index, pattern] of wanted.entries()) expect(faults[index]).toMatch(pattern);
};

describe("readConfig", () => {
  it("[CFG1] an empty environment is development on embedded stores", () => {
    const config = readConfig({});
    expect(config).toMatchObject({
      NODE_ENV: "development",
      PORT: 3000,
      wsPort: 3001,
      API_VERSION: "v1",
      ROLES: ["api", "realtime", "worker"],
      RATE_LIMIT_MODE: "tiered",
      RATE_LIMIT_MAX: 100,
      RATE_LIMIT_WINDOW_MS: 900_000,
      AUTH_RATE_LIMIT_MAX: 5,
      BCRYPT_ROUNDS: 10,
      publicUrl: "http://localhost:3000",
      embedded: { database: true, activity: true, redis: true },
    });
    expect(Object.isFrozen(config)).toBe(true);
    expect(readConfig({ PORT: "", JWT_SECRET: "", REDIS_HOST: "" })).toEqual(config);
  });

  it("[CFG2] every variable of the first README keeps its name and meaning", () => {
    expect(readConfig(SEED)).toMatchObject({
      PORT: 3000,
      API_VERSION: "v1",
      POSTGRES_HOST: "your-postgres-host",
      POSTGRES_PORT: 5432,
      POSTGRES_DB: "collaborative_workspace",
      POSTGRES_USER: "your-username",
      MONGODB_URI: "mongodb://your-mongodb-uri",
      REDIS_HOST: "your-redis-host",
      REDIS_PORT: 6379,
      JWT_EXPIRES_IN: 900_000,
      JWT_REFRESH_EXPIRES_IN: 604_800_000,
      CORS_ORIGIN: ["https://your-frontend-domain.com"],
      FEATURE_REAL_TIME_COLLABORATION: true,
      FEATURE_CODE_EXECUTION: true,
      embedded: { database: false, activity: false, redis: false },
    });
    for (const name of [...Object.keys(SEED), "WS_PORT", "LOG_LEVEL"])
      expect(Object.keys(environmentSchema.shape)).toContain(name);
  });

  it.each([
    ["JWT_EXPIRES_IN", "900", 900_000],
    ["JWT_EXPIRES_IN", "1h", 3_600_000],
    ["PORT", "0", 0],
    ["FEATURE_CODE_EXECUTION", "FALSE", false],
    ["FEATURE_CODE_EXECUTION", "0", false],
    [
      "CORS_ORIGIN",
      " https://a.example , http://localhost:5173/",
      ["https://a.example", "http://localhost:5173"],
    ],
    ["ROLES", "worker", ["worker"]],
    ["TRUST_PROXY", "1", "1"],
    ["TRUST_PROXY", "loopback, 10.0.0.0/8,fd00::/8", "loopback, 10.0.0.0/8,fd00::/8"],
    ["DATABASE_URL", "postgresql://u:p@h/db?sslmode=require", "postgresql://u:p@h/db?sslmode=require"],
    ["REDIS_URL", "rediss://u:p@h:6380/2", "rediss://u:p@h:6380/2"],
    ["REDIS_SENTINELS", "a:26379,[::1]:26379", ["a:26379", "[::1]:26379"]],
    ["RATE_LIMIT_MAX", "0", 0],
  ])("[CFG3] %s=%s is read", (name, value, wanted) => {
    expect(readConfig({ POSTGRES_HOST: "db", [name]: value })[name as "PORT"]).toEqual(wanted);
  });

  it("[CFG4] a wrong value stops the start, each variable is named, and no value is repeated", () => {
    const wrong: Record<string, string> = {
      NODE_ENV: "wrong-staging",
      PORT: "wrong-3000",
      WS_PORT: "65536",
      API_VERSION: "wrong-1",
      PUBLIC_URL: "ftp://wrong.example",
      TRUST_PROXY: "wrong-true",
      ROLES: "api,wrong-role",
      ALLOW_EMBEDDED: "wrong-maybe",
      DATABASE_URL: "mysql://user:wrong-password@host/db",
      POSTGRES_PORT: "-1",
      POSTGRES_REPLICA_URLS: "postgres://a,wrong-replica",
      STATEMENT_TIMEOUT_MS: "wrong-5s",
      MONGODB_URI: "http://user:wrong-password@host/db",
      REDIS_URL: "user:wrong-password@host",
      REDIS_SENTINELS: "wrong-sentinel",
      REDIS_CLUSTER_NODES: "wrong-node:port",
      JWT_EXPIRES_IN: "wrong-15 minutes",
      JWT_REFRESH_EXPIRES_IN: "999999999w",
      BCRYPT_ROUNDS: "3",
      CORS_ORIGIN: "https://wrong.example/path",
      SMTP_URL: "https://user:wrong-password@host",
      RATE_LIMIT_MODE: "wrong-lenient",
      RATE_LIMIT_MAX: "1e3",
      RATE_LIMIT_WINDOW_MS: "1",
      FEATURE_CODE_EXECUTION: "wrong-enabled",
      LOG_LEVEL: "wrong-verbose",
    };
    expect(faultsOf(wrong)).toHaveLength(Object.keys(wrong).length);
    for (const [name, value] of Object.entries(wrong)) {
      const faults = faultsOf({ [name]: value });
      expect([name, faults.length]).toEqual([name, 1]);
      expect(faults[0]).toMatch(new RegExp(`^${name}\\b`));
      expect(faults[0]).not.toMatch(/wrong-|:\/\/user/);
    }
  });

  it.each([
    "*",
    "https://app.example.org/path",
    "app.example.org",
    "null",
    "https://app.example.org:443",
    "https://A.example",
  ])("[CFG5] CORS_ORIGIN=%s is no origin a browser sends", (value) =>
    expectFault({ CORS_ORIGIN: value }, /^CORS_ORIGIN/),
  );

  it.each(["true", "1.2.3", "::ffff:0.0.0.0/1", "10.0.0.0/33", "0.0.0.0/0", "100", "proxy.local"])(
    "[CFG6] TRUST_PROXY=%s is refused",
    (value) => expectFault({ TRUST_PROXY: value }, /^TRUST_PROXY/),
  );

  it("[CFG7] what fits alone and not together is named", () => {
    expectFault({ PORT: "65535" }, /^WS_PORT/);
    expectFault({ ROLES: "worker" }, /^ROLES must be all/);
    expectFault({ ROLES: "api,api,worker" }, /^ROLES must be all/);
    expectFault({ ROLES: ",", POSTGRES_HOST: "db" }, /^ROLES/);
    expect(readConfig({ PORT: "0" }).wsPort).toBe(0);
    expect(readConfig({ PORT: "4000", PUBLIC_URL: "https://a.example//" })).toMatchObject({
      wsPort: 4001,
      publicUrl: "https://a.example",
    });
  });
});

describe("X_FILE", () => {
  it("[CFG8] reads any variable from a file, without its last line break", () => {
    const env = {
      JWT_SECRET_FILE: file("jwt", `${SECRET}\n`),
      JWT_REFRESH_SECRET_FILE: file("refresh", `${OTHER}\r\n`),
      POSTGRES_HOST_FILE: file("host", "db.internal"),
      PORT_FILE: file("port", "4000\n"),
    };
    expect(readConfig(env)).toMatchObject({
      JWT_SECRET: SECRET,
      JWT_REFRESH_SECRET: OTHER,
      POSTGRES_HOST: "db.internal",
      PORT: 4000,
    });
    expect(readConfig({ PORT: "", PORT_FILE: env.PORT_FILE }).PORT).toBe(4000);
  });

  it("[CFG9] a file that cannot be read, is empty, wrong, or stands beside the variable is named without its content", () => {
    const missing = path.join(folder, "wrong-place");
    expectFault({ JWT_SECRET_FILE: missing }, /^JWT_SECRET_FILE names a file that cannot be read$/);
    expectFault({ JWT_SECRET_FILE: folder }, /^JWT_SECRET_FILE/);
    expectFault({ JWT_SECRET_FILE: file("empty", "\n") }, /^JWT_SECRET/);
    expectFault({ JWT_SECRET_FILE: file("short", "wrong-secret") }, /^JWT_SECRET is shorter than 32 bytes$/);
    expectFault({ PORT_FILE: file("bad", "wrong-port") }, /^PORT must be a whole number$/);
    expectFault({ PORT: "3000", PORT_FILE: file("both", "4000") }, /^PORT and PORT_FILE are both set$/);
  });
});

describe("secrets", () => {
  it("[CFG10] short and equal secrets are refused everywhere", () => {
    for (const NODE_ENV of ["development", "test"]) {
      expectFault({ NODE_ENV, JWT_SECRET: "a".repeat(31) }, /^JWT_SECRET is shorter/);
      expectFault({ NODE_ENV, JWT_REFRESH_SECRET: "short" }, /^JWT_REFRESH_SECRET is shorter/);
      expectFault(
        { NODE_ENV, JWT_SECRET: SECRET, JWT_REFRESH_SECRET: SECRET },
        /^JWT_SECRET and JWT_REFRESH_SECRET/,
      );
      expect(faultsOf({ NODE_ENV, JWT_SECRET: SECRET })).toEqual([]);
    }
    expectFault(
      { ...PRODUCTION, JWT_SECRET: "é".repeat(15) },
      /^JWT_SECRET is shorter/,
      /^JWT_SECRET is a sample/,
    );
  });

  it("[CFG11] production refuses missing and sample secrets, and one secret used for two things", () => {
    expect(faultsOf(PRODUCTION)).toEqual([]);
    expectFault({ ...PRODUCTION, JWT_SECRET: "" }, /^JWT_SECRET is not set$/);
    expectFault({ ...PRODUCTION, JWT_REFRESH_SECRET: undefined }, /^JWT_REFRESH_SECRET is not set$/);
    for (const sample of [
      "your-very-secure-jwt-secret-min-32-chars",
      "change-me-change-me-change-me-change-me",
      "CHANGEME".padEnd(40, "x"),
      "a".repeat(64),
      "secret".repeat(8).slice(0, 4).repeat(10),
      "an-example-secret-that-is-long-enough-1",
    ])
      expectFault({ ...PRODUCTION, JWT_SECRET: sample }, /^JWT_SECRET is a sample value/);
    expectFault(
      { ...PRODUCTION, POSTGRES_PASSWORD: "your-secure-password" },
      /^POSTGRES_PASSWORD is a sample/,
    );
    expectFault({ ...PRODUCTION, REDIS_PASSWORD: "your-redis-password" }, /^REDIS_PASSWORD is a sample/);
    for (const name of ["POSTGRES_PASSWORD", "REDIS_PASSWORD", "METRICS_TOKEN"])
      expectFault(
        { ...PRODUCTION, [name]: SECRET },
        new RegExp(`^JWT_SECRET and ${name} must not be equal$`),
      );
  });

  it("[CFG12] production refuses embedded stores unless ALLOW_EMBEDDED=true, and wants secrets all the same", () => {
    const { POSTGRES_HOST: _p, MONGODB_URI: _m, REDIS_HOST: _r, ...bare } = PRODUCTION;
    expectFault(bare, /^POSTGRES_HOST or DATABASE_URL/, /^REDIS_HOST or REDIS_URL/, /^MONGODB_URI/);
    expectFault({ ...PRODUCTION, MONGODB_URI: "" }, /^MONGODB_URI is not set/);
    expect(faultsOf({ ...bare, ALLOW_EMBEDDED: "true" })).toEqual([]);
    expectFault(
      { NODE_ENV: "production", ALLOW_EMBEDDED: "true" },
      /^JWT_SECRET is not set/,
      /^JWT_REFRESH_SECRET is not set/,
    );
    expect(
      faultsOf({
        ...bare,
        DATABASE_URL: "postgres://db/a",
        REDIS_CLUSTER_NODES: "r:6379",
        MONGODB_URI: "mongodb://m",
      }),
    ).toEqual([]);
  });

  it("[CFG13] no message of any fault holds a value", () => {
    const canary = "c4n4ry";
    for (const name of Object.keys(environmentSchema.shape)) {
      for (const value of [
        canary,
        `${canary}://${canary}`,
        ` ${canary}`,
        `-${canary}`,
        "c4n4ry ".repeat(9),
      ]) {
        const message = faultsOf({ NODE_ENV: "production", [name]: value }).join("\n");
        expect(message).not.toContain(canary);
      }
    }
  });
});

describe("documents", () => {
  const root = path.join(import.meta.dirname, "..");
  const known = new Set(Object.keys(environmentSchema.shape));

  it("[CFG14] the README's table names variables of the schema only, and all that the first README had", () => {
    const section =
      /## Configuration\n([\s\S]*?)\n## /.exec(readFileSync(path.join(root, "README.md"), "utf8"))?.[1] ?? "";
    const named = new Set<string>();
    for (const row of section.matchAll(/^\| (`.*?) \|/gm)) {
      let last = "";
      for (const [, name = ""] of (row[1] ?? "").matchAll(/`([A-Z_0-9]+)`/g)) {
        // `POSTGRES_HOST`, `_PORT` stands for POSTGRES_PORT.
        if (!name.startsWith("_")) last = name;
        named.add(name.startsWith("_") ? last.split("_")[0] + name : name);
      }
    }
    expect([...named].filter((name) => !known.has(name))).toEqual([]);
    for (const name of Object.keys(SEED).filter((each) => each !== "NODE_ENV"))
      expect([...named]).toContain(name);
  });

  it("[CFG15] .env.example names variables of the schema only, and with it the service starts in development", () => {
    const text = readFileSync(path.join(root, ".env.example"), "utf8");
    const named = [...text.matchAll(/^(?:# )?([A-Z][A-Z_0-9]+)=(.*)$/gm)];
    expect(named.map(([, name]) => name).filter((name) => !known.has(name ?? ""))).toEqual([]);
    const set = Object.fromEntries(
      named.filter(([line]) => !line.startsWith("#")).map(([, name, value]) => [name, value]),
    ) as Record<string, string>;
    expect(readConfig(set)).toMatchObject({ NODE_ENV: "development", PORT: 3000 });
    const samples = Object.fromEntries(named.map(([, name, value]) => [name, value])) as Record<
      string,
      string
    >;
    expect(faultsOf(samples)).toEqual([]);
  });
});
