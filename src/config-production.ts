/** What decides whether a configuration may run in production. */
interface Candidate {
  readonly NODE_ENV: string;
  readonly ALLOW_EMBEDDED: boolean;
  readonly JWT_SECRET?: string | undefined;
  readonly JWT_REFRESH_SECRET?: string | undefined;
  readonly CORS_ORIGIN: readonly string[];
  readonly embedded: { readonly database: boolean; readonly activity: boolean; readonly redis: boolean };
}

/** Secrets that stand in samples, and so are known to everybody. */
const SAMPLE_SECRETS = [/^your-/i, /change[-_ ]?me/i, /^secret$/i, /^(.)\1+$/, /example/i, /^sample/i];

const MIN_SECRET_BYTES = 32;

/** Adds a fault for everything that must not run in production. Values are never part of a fault. */
export function refuseInProduction(
  config: Candidate,
  env: Readonly<Record<string, string | undefined>>,
  faults: string[],
): void {
  checkSecrets(config, faults);
  if (config.NODE_ENV !== "production") return;
  if (!config.ALLOW_EMBEDDED) {
    const set = (missing: string, what: string) =>
      faults.push(`${missing} is not set: ${what} would be embedded (set it, or ALLOW_EMBEDDED=true)`);
    if (config.embedded.database) set("POSTGRES_HOST or DATABASE_URL", "the database");
    if (config.embedded.redis) set("REDIS_HOST or REDIS_URL", "events, cache and queue");
    if (config.embedded.activity) set("MONGODB_URI", "the activity log");
  }
  if (env.TRUST_PROXY === "true") {
    faults.push(
      "TRUST_PROXY must name the number of proxies or their addresses; true would trust every client's headers",
    );
  }
  if (config.CORS_ORIGIN.includes("*")) faults.push("CORS_ORIGIN must not be * : requests carry credentials");
}

function checkSecrets(config: Candidate, faults: string[]): void {
  const production = config.NODE_ENV === "production";
  for (const name of ["JWT_SECRET", "JWT_REFRESH_SECRET"] as const) {
    const value = config[name];
    if (value === undefined) {
      if (production) faults.push(`${name} is not set`);
      continue;
    }
    if (Buffer.byteLength(value) < MIN_SECRET_BYTES)
      faults.push(`${name} is shorter than ${MIN_SECRET_BYTES} bytes`);
    else if (production && SAMPLE_SECRETS.some((sample) => sample.test(value))) {
      faults.push(`${name} is a sample value; make one with: openssl rand -base64 48`);
    }
  }
  if (config.JWT_SECRET !== undefined && config.JWT_SECRET === config.JWT_REFRESH_SECRET) {
    faults.push("JWT_SECRET and JWT_REFRESH_SECRET must not be equal");
  }
}
