/** What decides whether a configuration may run in production. */
interface Candidate extends Readonly<Partial<Record<SecretName, string>>> {
  readonly NODE_ENV: string;
  readonly ALLOW_EMBEDDED: boolean;
  readonly embedded: { readonly database: boolean; readonly activity: boolean; readonly redis: boolean };
}

const SIGNING_SECRETS = ["JWT_SECRET", "JWT_REFRESH_SECRET"] as const;
const SECRETS = [...SIGNING_SECRETS, "POSTGRES_PASSWORD", "REDIS_PASSWORD", "METRICS_TOKEN"] as const;
type SecretName = (typeof SECRETS)[number];

/** Secrets that stand in samples, and so are known to everybody. */
const SAMPLE_SECRETS = [/^your-/i, /change[-_ ]?me/i, /^secret$/i, /^(.{1,4})\1+$/, /example/i, /^sample/i];

const MIN_SECRET_BYTES = 32;

/** Faults of secrets anywhere: too short to sign with, or used for two things. Values are never part of a fault. */
export function secretFaults(config: Candidate): string[] {
  const faults: string[] = [];
  for (const name of SIGNING_SECRETS) {
    const value = config[name];
    if (value === undefined) continue;
    if (Buffer.byteLength(value) < MIN_SECRET_BYTES)
      faults.push(`${name} is shorter than ${MIN_SECRET_BYTES} bytes`);
    for (const other of SECRETS.slice(SECRETS.indexOf(name) + 1)) {
      if (value === config[other]) faults.push(`${name} and ${other} must not be equal`);
    }
  }
  return faults;
}

/** Faults in production alone: secrets that are missing or known, stores that would be embedded. */
export function productionFaults(config: Candidate): string[] {
  if (config.NODE_ENV !== "production") return [];
  const faults: string[] = [];
  for (const name of SIGNING_SECRETS) if (config[name] === undefined) faults.push(`${name} is not set`);
  for (const name of SECRETS) {
    if (SAMPLE_SECRETS.some((sample) => sample.test(config[name] ?? "")))
      faults.push(`${name} is a sample value; make one with: openssl rand -base64 48`);
  }
  if (config.ALLOW_EMBEDDED) return faults;
  const set = (missing: string, what: string) =>
    faults.push(`${missing} is not set: ${what} would be embedded (set it, or ALLOW_EMBEDDED=true)`);
  if (config.embedded.database) set("POSTGRES_HOST or DATABASE_URL", "the database");
  if (config.embedded.redis) set("REDIS_HOST or REDIS_URL", "events, cache and queue");
  if (config.embedded.activity) set("MONGODB_URI", "the activity log");
  return faults;
}
