import { v7 } from "uuid";
import type { Clock } from "../platform/clock.js";
import type { Sql } from "../platform/database/database.js";
import type { Logger } from "../platform/observability/logger.js";
import type { LanguageRepository } from "./language-repository.js";
import type { LanguageCapability, RunLimits, Sandbox } from "./sandbox/sandbox.js";

/** What the workers of this deployment can run, as they probed it. */
export interface Languages {
  /** Of all live workers together; of the last one seen when none is live. Empty before the first worker ever started. */
  list(sql: Sql): Promise<LanguageCapability[]>;
  /** Publishes what this sandbox can run until the returned function is called. Resolves when the API can answer from it. */
  publish(sandbox: Pick<Sandbox, "capabilities">): Promise<() => void>;
}

const REFRESH_MS = 30_000;
/** A worker that was not seen for so long is gone. */
const LIVE_MS = 90_000;
const FORGET_MS = 24 * 3_600_000;

/** The languages over the `worker_languages` table. */
export function createLanguages(deps: {
  database: Sql;
  repository: LanguageRepository;
  clock: Clock;
  logger: Logger;
}): Languages {
  const { database, repository, clock, logger } = deps;
  return {
    async list(sql) {
      const workers = await repository.all(sql);
      const live = workers.filter(({ seenAt }) => seenAt.getTime() > clock.now() - LIVE_MS);
      const languages = new Map<string, LanguageCapability>();
      for (const worker of live.length > 0 ? live : workers.slice(0, 1)) {
        for (const language of worker.languages) {
          if (!languages.get(language.id)?.available) languages.set(language.id, language);
        }
      }
      return [...languages.values()];
    },
    async publish(sandbox) {
      const workerId = v7();
      const put = async () => {
        const languages = (await sandbox.capabilities()).map(published);
        const now = clock.now();
        await repository.put(database, { workerId, languages, seenAt: new Date(now) });
        await repository.prune(database, new Date(now - FORGET_MS));
      };
      const putLater = () => {
        put().catch((error: unknown) =>
          logger.warn("the languages of this worker were not published", { error }),
        );
      };
      const first = put().catch((error: unknown) =>
        logger.warn("the languages of this worker were not published yet", { error }),
      );
      // Later starts need not wait for the probes: what was known before them stands meanwhile.
      if ((await repository.all(database).catch(() => [])).length === 0) await first;
      const timer = setInterval(putLater, REFRESH_MS);
      return () => clearInterval(timer);
    },
  };
}

/** Exactly what `GET /languages` documents. */
function published(language: LanguageCapability): LanguageCapability {
  const { id, aliases, extension, available, reason, multiFile, stdin, files } = language;
  const { id: engineId, version, isolation } = language.engine;
  return {
    id,
    aliases,
    extension,
    engine: { id: engineId, version, isolation },
    available,
    ...(reason === undefined ? {} : { reason }),
    multiFile,
    stdin,
    files,
    limits: { default: limitsOf(language.limits.default), maximum: limitsOf(language.limits.maximum) },
  };
}

function limitsOf({ cpuMs, wallMs, memoryBytes, outputBytes, diskBytes }: RunLimits): RunLimits {
  return { cpuMs, wallMs, memoryBytes, outputBytes, diskBytes };
}
