/** A node to be killed: starts with the environment it was given and tells its parent where it listens. */
import { createApp } from "../../src/app.js";
import { readConfig } from "../../src/config.js";
import { createNullLogger } from "../../src/platform/observability/logger.js";

const app = await createApp(readConfig(process.env), { logger: createNullLogger() });
await app.start();
process.send?.({ httpUrl: app.httpUrl, wsUrl: app.wsUrl });
