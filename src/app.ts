import { v7 } from "uuid";
import type { Config } from "./config.js";
import { createDemo } from "./demo/demo.js";
import { createDispatcher, type Dispatcher, type EventConsumer } from "./events/dispatcher.js";
import { createFeatures, type Features } from "./features.js";
import { createHousekeeping } from "./housekeeping.js";
import { createAddressOf } from "./http/client-address.js";
import { CONSOLE_FOLDER, createConsoleRouter, createSocketsUrl } from "./http/console.js";
import { createDocsRouter, DOCUMENT_OPERATIONS } from "./http/docs-page.js";
import { createHealthRouter, HEALTH_OPERATIONS } from "./http/health.js";
import { createIdempotency } from "./http/idempotency.js";
import { type Listener, listen, upgradeOnly } from "./http/listener.js";
import { createOpenApiDocument } from "./http/openapi.js";
import { createCursors } from "./http/pagination.js";
import { createHttpRateLimit } from "./http/rate-limit.js";
import { createHttpApp } from "./http/server.js";
import { createInstruments } from "./instruments.js";
import { createSandbox } from "./jobs/sandbox/wasm-sandbox.js";
import { createToolRunner } from "./jobs/tools/tool-runner.js";
import { createLifecycle } from "./lifecycle.js";
import { type Clock, systemClock } from "./platform/clock.js";
import { whenReachable } from "./platform/database/when-reachable.js";
import { createLogMailer } from "./platform/mail/log.js";
import { createSmtpMailer } from "./platform/mail/smtp.js";
import { createNullLogger, type Logger } from "./platform/observability/logger.js";
import { createWinstonLogger } from "./platform/observability/winston.js";
import { createPolicies } from "./policies.js";
import { createAsyncApiDocument } from "./realtime/asyncapi.js";
import { readSecrets } from "./secrets.js";
import { openStores, type Stores } from "./stores.js";
import { VERSION } from "./version.js";

/** One process of the service. */
export interface App {
  readonly logger: Logger;
  /** Opens the listeners and begins to work; resolves when requests are served. */
  start(): Promise<void>;
  /** Drains and stops in order; safe to call twice. */
  stop(): Promise<void>;
  /** Where it listens, once started; undefined for a role the process does not have. */
  readonly httpUrl: string | undefined;
  readonly wsUrl: string | undefined;
  readonly stores: Stores;
  readonly features: Features;
  readonly dispatcher: Dispatcher;
}

/** What a caller may put in place of the usual. */
export interface AppOptions {
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** A sentence for the person who started the process. */
  readonly announce?: (text: string) => void;
  /** The built console; default: where `npm run build` leaves it. */
  readonly consoleFolder?: string;
}

/** Sockets are closed at random moments within this time, so that they do not come back all at once. */
const DRAIN_SPREAD_MS = 5_000;
/** How long a stopping worker lets jobs run on. */
const WORKER_GRACE_MS = 8_000;
const HTTP_GRACE_MS = 5_000;
/** Data jobs and reports at once: each may take more than a gigabyte of memory. */
const TOOL_SLOTS = 2;

/** Puts one process together: config → stores → features → listeners. */
export async function createApp(config: Config, options: AppOptions = {}): Promise<App> {
  const clock = options.clock ?? systemClock;
  const announce = options.announce ?? (() => undefined);
  const nodeId = v7();
  const files = options.logger
    ? undefined
    : createWinstonLogger({ level: config.LOG_LEVEL, directory: config.LOG_DIR, fields: { nodeId } });
  const logger = options.logger ?? files ?? createNullLogger();
  const lifecycle = createLifecycle(logger);
  const basePath = `/api/${config.API_VERSION}`;
  const has = (role: Config["ROLES"][number]) => config.ROLES.includes(role);
  const startedAt = clock.now();
  let refusing: string | undefined = "starting";
  let stopped = false;
  let http: Listener | undefined;
  let sockets: Listener | undefined;
  try {
    const instruments = createInstruments();
    const stores = await openStores({ config, clock, logger, lifecycle, announce });
    const mailer = config.SMTP_URL
      ? createSmtpMailer({ url: config.SMTP_URL, from: config.MAIL_FROM })
      : createLogMailer({ write: announce });
    lifecycle.add("mailer", () => mailer.close());
    const sandbox =
      has("worker") && config.FEATURE_CODE_EXECUTION
        ? createSandbox({
            slots: config.SANDBOX_SLOTS,
            native: config.SANDBOX_NATIVE,
            warm: 1,
            onEvent: ({ type, ...event }) =>
              logger[/failed|broken/.test(type) ? "warn" : "info"](`sandbox: ${type}`, event),
          })
        : undefined;
    if (sandbox) lifecycle.add("sandbox", () => sandbox.close());
    const features = createFeatures({
      config,
      secrets: readSecrets(config),
      stores,
      clock,
      logger,
      mailer,
      sandbox,
      tools: has("worker") ? createToolRunner({ slots: TOOL_SLOTS }) : undefined,
      nodeId,
      basePath,
      socketObserver: instruments.sockets,
      documentsObserver: instruments.documents,
      addressOf: createAddressOf(config.TRUST_PROXY),
    });
    const dispatcher = createDispatcher({
      database: stores.database,
      outbox: features.outbox,
      consumers: consumersOf(features),
      logger,
    });
    const housekeeping = createHousekeeping({
      config,
      stores,
      features,
      idempotency: idempotencyOf(stores, features, clock),
      clock,
      logger,
    });
    instruments.watch({
      outboxLag: () => features.outbox.lag(),
      jobs: () => stores.jobQueue.counts(),
      hub: features.realtime?.hub,
      documents: features.documents,
    });

    return {
      logger,
      stores,
      features,
      dispatcher,
      get httpUrl() {
        return http?.url;
      },
      get wsUrl() {
        return (sockets ?? (features.realtime ? http : undefined))?.url.replace(/^http/, "ws");
      },
      async start() {
        await checkQueue(config, stores, logger);
        await reachable(() => features.authzWatch.start());
        lifecycle.add("access watch", () => features.authzWatch.stop());
        lifecycle.add("activity recorder", () => features.recorder.close());
        await reachable(() => dispatcher.start());
        lifecycle.add("dispatcher", () => dispatcher.stop());
        features.documents.start();
        lifecycle.add("documents", () => features.documents.close());
        housekeeping.start();
        lifecycle.add("housekeeping", async () => housekeeping.stop());
        if (has("worker")) await startWorker();
        if (has("api")) await startApi();
        if (has("realtime")) await startSockets();
        refusing = undefined;
        lifecycle.add("readiness", async () => {
          refusing = "stopping";
        });
        announceUrls();
        await offerDemo();
      },
      async stop() {
        stopped = true;
        await lifecycle.stop();
        await files?.flush();
      },
    };

    /** The database can go away again between its schema and the first question. */
    function reachable<T>(work: () => Promise<T>): Promise<T> {
      const waiting = (error: unknown) => logger.warn("waiting for the database", { error });
      return whenReachable(work, { waiting, givenUp: () => stopped });
    }

    async function startWorker(): Promise<void> {
      const worker = features.jobs.createWorker({
        concurrency: config.WORKER_CONCURRENCY,
        observe: instruments.jobRun,
      });
      await worker.start();
      lifecycle.add("worker", () => worker.stop(WORKER_GRACE_MS));
    }

    async function startApi(): Promise<void> {
      features.auth.start();
      lifecycle.add("mail sender", () => features.auth.stop());
      features.jobs.start();
      lifecycle.add("job scheduler", () => features.jobs.close());
      http = await listen(createApi(), { host: config.HOST, port: config.PORT });
      lifecycle.add("http", () => http?.close(HTTP_GRACE_MS) ?? Promise.resolve());
      lifecycle.add("job streams", async () => features.jobs.endStreams());
    }

    function createApi(): ReturnType<typeof createHttpApp> {
      const openapi = createOpenApiDocument(features.routes, {
        title: "Atelier",
        version: VERSION,
        basePath,
        outside: [...HEALTH_OPERATIONS, ...DOCUMENT_OPERATIONS],
      });
      const asyncapi = createAsyncApiDocument({ version: VERSION, wsPort: config.wsPort });
      const health = createHealthRouter({
        clock,
        startedAt,
        pings: stores.pings,
        refusing: () =>
          refusing ?? (features.authzWatch.fresh() ? undefined : "the access log cannot be read"),
        metrics: () => instruments.render(),
        metricsToken: config.METRICS_TOKEN,
        production: config.NODE_ENV === "production",
      });
      return createHttpApp({
        authenticator: features.auth.authenticator,
        rateLimit: createHttpRateLimit({
          limiter: stores.rateLimiter,
          policies: createPolicies(config).http,
          onRefused: instruments.rateLimitRefused,
        }),
        idempotency: idempotencyOf(stores, features, clock),
        cursors: createCursors(features.keys.cursors),
        checkReplies: config.NODE_ENV !== "production",
        routes: features.routes,
        basePath,
        mounts: [
          { path: "/", router: health },
          { path: "/api", router: createDocsRouter({ openapi, asyncapi }) },
          { path: "/", router: createConsole() },
        ],
        logger,
        corsOrigins: config.CORS_ORIGIN,
        trustProxy: config.TRUST_PROXY,
        observe: instruments.httpRequest,
        inFlight: instruments.httpInFlight,
      });
    }

    function createConsole(): ReturnType<typeof createConsoleRouter> {
      const ownPort = () =>
        sockets
          ? Number(new URL(sockets.url).port)
          : config.wsPort === config.PORT
            ? undefined
            : config.wsPort;
      const socketsUrl = createSocketsUrl({ configured: config.PUBLIC_WS_URL, port: ownPort });
      return createConsoleRouter({
        folder: options.consoleFolder ?? CONSOLE_FOLDER,
        socketsUrl: (request) => (features.realtime ? socketsUrl(request) : undefined),
      });
    }

    async function startSockets(): Promise<void> {
      const { realtime } = features;
      if (!realtime) return;
      if (http && config.PORT !== 0 && config.wsPort === config.PORT) realtime.server.attach(http.server);
      else {
        sockets = await listen(upgradeOnly, { host: config.HOST, port: config.wsPort });
        realtime.server.attach(sockets.server);
        lifecycle.add("socket listener", () => sockets?.close(HTTP_GRACE_MS) ?? Promise.resolve());
      }
      lifecycle.add("sockets", () => realtime.stop(config.NODE_ENV === "test" ? 0 : DRAIN_SPREAD_MS));
    }

    /** In development on an embedded database, a person has to be able to begin without reading anything. */
    async function offerDemo(): Promise<void> {
      if (!http || !config.DEMO || config.NODE_ENV !== "development" || !config.embedded.database) return;
      const everywhere = config.HOST === undefined || config.HOST === "0.0.0.0" || config.HOST === "::";
      const { port } = new URL(http.url);
      const demo = createDemo({
        trial: features.auth.trial,
        exists: async (email) =>
          (await features.auth.directory.findByEmail(stores.database, email)) !== undefined,
        api: `${everywhere ? `http://127.0.0.1:${port}` : http.url}${basePath}`,
        publicUrl: config.publicUrl,
      });
      if (!(await demo.isDue())) return;
      const lines = demo.links().map(({ name, url }) => `  ${name.padEnd(14)} ${url}`);
      announce(
        `\nTry it: a demo project with two people. Each link signs in once, within an hour, in a window of its own:\n${lines.join("\n")}`,
      );
    }

    function announceUrls(): void {
      if (http)
        announce(
          `Atelier ${VERSION} is ready.\n  Console  ${http.url}\n  API      ${http.url}${basePath}\n  Docs     ${http.url}/api/docs`,
        );
      if (features.realtime && has("realtime"))
        announce(`  Sockets  ${(sockets ?? http)?.url.replace(/^http/, "ws")}`);
      if (!http) announce(`Atelier ${VERSION}: ${config.ROLES.join(", ")} running.`);
    }
  } catch (error) {
    await lifecycle.stop();
    throw error;
  }
}

/** A queue that may lose jobs is a reason not to start in production, and a warning elsewhere. */
async function checkQueue(config: Config, stores: Stores, logger: Logger): Promise<void> {
  const check = await stores.jobQueue.check().catch(() => undefined);
  if (!check || check.ok) return;
  for (const problem of check.problems) logger.warn("the job queue is not safe", { problem });
  if (config.NODE_ENV !== "production") return;
  throw Object.assign(new Error(`The job queue is not safe: ${check.problems.join(" ")}`), {
    expected: true,
  });
}

function consumersOf({ recorder, realtime, jobs }: Features): readonly EventConsumer[] {
  // With sockets switched off the events are passed over, so that they do not wait for ever.
  const toSockets = realtime?.consumer ?? { name: "realtime", handle: async () => undefined };
  return [recorder.consumer, toSockets, jobs.consumer];
}

function idempotencyOf(
  stores: Stores,
  features: Features,
  clock: Clock,
): ReturnType<typeof createIdempotency> {
  return createIdempotency({ database: stores.database, clock, key: features.keys.idempotency });
}
