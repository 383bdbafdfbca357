import { Client, type ClientConfig, TypeOverrides } from "pg";

/** Where a PostgreSQL server is and who calls; `url` wins over the single fields. */
export interface PostgresConnection {
  /** `postgres://user:password@host:port/database?sslmode=…`. */
  readonly url?: string;
  /** A host name, or the absolute folder of a Unix socket. */
  readonly host?: string;
  readonly port?: number;
  readonly database?: string;
  readonly user?: string;
  readonly password?: string;
  /** TLS: `true` checks the certificate; an object is handed to `tls.connect`. */
  readonly ssl?: boolean | { readonly rejectUnauthorized?: boolean; readonly ca?: string };
}

const INT8 = 20;
const INT8_ARRAY = 1016;
const TEXT_ARRAY = 1009;
const DATE = 1082;

/** Counts and sequence numbers as numbers; what a double cannot hold stays the driver's string. */
function parseInt8(text: string): number | string {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : text;
}

/** The driver's parsers for one pool or client, so that no other user of `pg` in the process is changed. */
function typeParsers(): TypeOverrides {
  const parsers = new TypeOverrides();
  const parseTextArray = parsers.getTypeParser(TEXT_ARRAY, "text") as unknown as (
    text: string,
  ) => (string | null)[];
  parsers.setTypeParser(INT8, "text", parseInt8);
  parsers.setTypeParser(INT8_ARRAY, "text", (text: string) =>
    parseTextArray(text).map((item) => (item === null ? null : parseInt8(item))),
  );
  // A calendar day has no time zone; the driver's Date would be midnight in the zone of this machine.
  parsers.setTypeParser(DATE, "text", (text: string) => text);
  return parsers;
}

/** The driver's configuration for `connection`. */
export function clientConfig(connection: PostgresConnection): ClientConfig {
  const { url, ...fields } = connection;
  return {
    ...(url === undefined ? fields : { connectionString: url }),
    types: typeParsers(),
    keepAlive: true,
  };
}

/** One connection outside any pool and without time-outs on statements, for migrations and administration. */
export async function connectClient(
  connection: PostgresConnection,
  connectTimeoutMs = 5000,
): Promise<Client> {
  const client = new Client({
    ...clientConfig(connection),
    connectionTimeoutMillis: connectTimeoutMs,
    application_name: "atelier-admin",
  });
  // Without a listener a connection that breaks between two statements would end the process.
  client.on("error", () => undefined);
  await client.connect();
  return client;
}
