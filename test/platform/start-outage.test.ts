import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { type App, createApp } from "../../src/app.js";
import { readConfig } from "../../src/config.js";
import type { PostgresConnection } from "../../src/platform/database/postgres-connection.js";
import { createNullLogger } from "../../src/platform/observability/logger.js";
import { until } from "../kit/adapters.js";
import { connectionEnv, TEST_ENV } from "../kit/app.js";
import { createTestDatabase, type TestDatabase } from "../kit/postgres.js";
import { startTcpProxy, type TcpProxy } from "../kit/tcp-proxy.js";

describe("a database that goes away while a process starts", () => {
  let store: TestDatabase;
  let door: TcpProxy;
  let folder: string;
  let app: App | undefined;
  let announced = "";
  const warnings: string[] = [];
  beforeAll(async () => {
    store = await createTestDatabase();
  });
  afterAll(() => store.close());
  beforeEach(async () => {
    door = await startTcpProxy(addressOf(store.connection));
    folder = mkdtempSync(path.join(tmpdir(), "atelier-node-"));
    announced = "";
    warnings.length = 0;
  });
  afterEach(async () => {
    await door.restore();
    await app?.stop();
    app = undefined;
    await door.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function create(): Promise<App> {
    const env = { ...TEST_ENV, ROLES: "api,realtime", DATA_DIR: folder, LOG_DIR: path.join(folder, "logs") };
    const logger = { ...createNullLogger(), warn: (message: string) => void warnings.push(message) };
    return createApp(readConfig({ ...env, ...connectionEnv(through(door, store.connection)) }), {
      logger,
      announce: (text) => (announced += `${text}\n`),
    });
  }

  it("[APP19] in the middle of the migrations: it waits, says so, and starts when it is back", async () => {
    door.stall();
    const created = create();
    created.catch(() => undefined);
    // What it has asked is never answered, and then the connection breaks.
    await until(async () => {
      door.cut();
      return announced.includes("Waiting for the database");
    });
    await door.restore();
    app = await created;
    await app.start();
    expect((await fetch(`${app.httpUrl}/readyz`)).status).toBe(200);
  });

  it("[APP19] after the migrations: the same", async () => {
    app = await create();
    await door.stop();
    const started = app.start();
    started.catch(() => undefined);
    await until(() => warnings.includes("waiting for the database"));
    expect(app.httpUrl).toBeUndefined();
    await door.restore();
    await started;
    expect((await fetch(`${app.httpUrl}/readyz`)).status).toBe(200);
  });

  it("[APP19] a process that is told to stop while it waits gives up", async () => {
    app = await create();
    await door.stop();
    const started = app.start();
    started.catch(() => undefined);
    await until(() => warnings.includes("waiting for the database"));
    await app.stop();
    await expect(started).rejects.toMatchObject({ code: "dependency_unavailable" });
  });
});

function addressOf({ url, host = "127.0.0.1", port = 5432 }: PostgresConnection) {
  const { hostname, port: urlPort } = new URL(url ?? "postgres://localhost");
  if (url !== undefined) return { host: hostname, port: Number(urlPort || 5432) };
  return host.startsWith("/") ? { path: `${host}/.s.PGSQL.${port}` } : { host, port };
}

function through(door: TcpProxy, { url, ...fields }: PostgresConnection): PostgresConnection {
  if (url === undefined) return { ...fields, host: door.host, port: door.port };
  return { url: Object.assign(new URL(url), { hostname: door.host, port: String(door.port) }).href };
}
