import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { v7 } from "uuid";
import { createActivityRecorder } from "./activity/recorder.js";
import type { Config } from "./config.js";
import { createDispatcher, type Dispatcher } from "./events/dispatcher.js";
import { createFeatures } from "./features.js";
import { createHealthRouter } from "./http/health.js";
import { createHttpApp } from "./http/server.js";
import { createLifecycle } from "./lifecycle.js";
import { type Clock, systemClock } from "./platform/clock.js";
import type { Logger } from "./platform/observability/logger.js";
import { createMetrics } from "./platform/observability/metrics.js";
import { createWinstonLogger } from "./platform/observability/winston.js";
import { readSecrets } from "./secrets.js";
import { openStores } from "./stores.js";

/** A process of the service. */
export interface App {
  readonly logger: Logger;
  /** Opens the listeners; resolves when requests are served. */
  start(): Promise<void>;
  /** Drains and stops in order; safe to call twice. */
  stop(): Promise<void>;
  /** Where it listens, once started; undefined for a role it does not have. */
  readonly httpUrl: string | undefined;
  readonly wsUrl: string | undefined;
  /** Feeds consumers from the outbox; tests wait on it. */
  readonly dispatcher: Dispatcher;
}

/** What a caller may put in place of the usual. */
export interface AppOptions {
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** A sentence for the person who started the process. */
  readonly announce?: (text: string) => void;
}
