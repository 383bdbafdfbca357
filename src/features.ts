import type { IncomingMessage } from "node:http";
import { type ActivityRecorder, createActivityRecorder } from "./activity/recorder.js";
import { createActivityRoutes } from "./activity/routes.js";
import { type Auth, authzHistoryMs, createAuth } from "./auth/auth.js";
import { type DerivedKeys, deriveKeys } from "./auth/keys.js";
import type { Config } from "./config.js";
import { createDocuments, type Documents, type DocumentsObserver } from "./documents/documents.js";
import { createAuthzLog } from "./events/authz-log.js";
import { type AuthzWatch, createAuthzWatch } from "./events/authz-watch.js";
import { createOutbox, type Outbox, type OutboxReader } from "./events/outbox.js";
import { createLimitsRoute } from "./http/limits-route.js";
import type { Route } from "./http/route.js";
import { createSilentJobOutput } from "./jobs/job-output.js";
import { createJobs, type Jobs, runsPolicy } from "./jobs/jobs.js";
import type { Sandbox } from "./jobs/sandbox/sandbox.js";
import type { ToolRunner } from "./jobs/tools/tool-runner.js";
import type { Clock } from "./platform/clock.js";
import type { Mailer } from "./platform/mail/mailer.js";
import type { Logger } from "./platform/observability/logger.js";
import { createPolicies } from "./policies.js";
import { createProjects, invitePolicies, type Projects } from "./projects/projects.js";
import { createJobBroadcast } from "./realtime/job-broadcast.js";
import { createRealtime, type Realtime, type RealtimeDeps } from "./realtime/realtime.js";
import { createRealtimeRoutes } from "./realtime/routes.js";
import type { Secrets } from "./secrets.js";
import type { Stores } from "./stores.js";
import { createWorkspaces } from "./workspaces/workspaces.js";

/** The features of one process, wired to each other and to the stores, not yet started. */
export interface Features {
  readonly auth: Auth;
  readonly projects: Projects;
  readonly jobs: Jobs;
  readonly recorder: ActivityRecorder;
  readonly documents: Documents;
  /** Undefined without the realtime role, or while the feature is switched off. */
  readonly realtime: Realtime | undefined;
  readonly outbox: Outbox & OutboxReader;
  readonly authzWatch: AuthzWatch;
  readonly routes: readonly Route[];
  readonly keys: DerivedKeys;
}

/** What features are made from. */
export interface FeatureDeps {
  readonly config: Config;
  readonly secrets: Secrets;
  readonly stores: Stores;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly mailer: Mailer;
  readonly sandbox: Sandbox | undefined;
  readonly tools: ToolRunner | undefined;
  readonly nodeId: string;
  readonly basePath: string;
  readonly socketObserver: RealtimeDeps["observer"];
  readonly documentsObserver: DocumentsObserver;
  readonly addressOf: (request: IncomingMessage) => string;
}

/** Builds every feature, in the order of imports. */
export function createFeatures(deps: FeatureDeps): Features {
  const { config, secrets, stores, clock, logger, nodeId } = deps;
  const { database } = stores;
  const policies = createPolicies(config);
  const keys = deriveKeys(secrets.jwtRefreshSecret);
  const outbox = createOutbox({ database, clock });
  const authzLog = createAuthzLog({ database });
  const authzWatch = createAuthzWatch({
    log: authzLog,
    database,
    pubsub: stores.pubsub,
    nodeId,
    recentMs: authzHistoryMs(config.JWT_EXPIRES_IN),
    logger,
  });
  const shared = { ...stores, ...deps, limiter: stores.rateLimiter, outbox, authzLog, authzWatch };
  const auth = createAuth({ ...shared, config: authConfig(config, secrets) });
  const projects = createProjects({
    ...shared,
    accounts: auth.directory,
    policies: invitePolicies(config.INVITE_RATE_LIMIT_MAX),
    invitationKey: keys.invitations,
    publicUrl: config.publicUrl,
  });
  const { access } = projects;
  const workspaces = createWorkspaces({ ...shared, access });
  const recorder = createActivityRecorder({ store: stores.activity, logger });
  const documents = createDocuments({
    ...shared,
    workspaceAccess: workspaces.access,
    limits: {
      fileBytes: config.FILE_MAX_BYTES,
      workspaceBytes: config.WORKSPACE_MAX_BYTES,
      workspaceFiles: config.WORKSPACE_MAX_FILES,
      archiveBytes: config.ARCHIVE_MAX_BYTES,
    },
    archivesPerWindow: config.ARCHIVE_RATE_LIMIT_MAX,
    observer: deps.documentsObserver,
  });
  const realtime = realtimeOf(deps, { auth, projects, authzWatch, recorder, documents });
  const runs = runsPolicy(config.JOB_RUNS_PER_HOUR);
  const jobs = createJobs({
    ...shared,
    queue: stores.jobQueue,
    access,
    workspaceAccess: workspaces.access,
    accounts: auth.directory,
    output: realtime ? createJobBroadcast(realtime.hub, clock) : createSilentJobOutput(),
    workspaceFile: (actor, workspaceId, path) => documents.readContent(actor, workspaceId, path),
    codeExecution: config.FEATURE_CODE_EXECUTION,
    limits: {
      runningPerUser: config.JOB_RUNNING_PER_USER,
      queuedPerUser: config.JOB_QUEUED_PER_USER,
      schedulesPerUser: config.JOB_SCHEDULES_PER_USER,
      streamsPerUser: config.WS_SOCKETS_PER_USER,
      runs,
    },
  });
  const requireReader = async (
    userId: string,
    projectId: string,
    action: "activity.read" | "presence.read",
  ) => {
    await access.require(database, userId, projectId, action);
  };
  return {
    auth,
    projects,
    jobs,
    recorder,
    documents,
    realtime,
    outbox,
    authzWatch,
    keys,
    routes: [
      ...auth.routes,
      ...projects.routes,
      ...workspaces.routes,
      ...documents.routes,
      ...createActivityRoutes({
        store: stores.activity,
        requireReader: (userId, projectId) => requireReader(userId, projectId, "activity.read"),
      }),
      ...createRealtimeRoutes({
        presence: realtime?.presence,
        requireReader: (userId, projectId) => requireReader(userId, projectId, "presence.read"),
      }),
      ...jobs.routes,
      createLimitsRoute(policies.http.mode, [
        policies.http.anonymous,
        policies.http.user,
        policies.http.write,
        ...(policies.http.mode === "strict" ? [policies.http.signIn] : []),
        ...auth.policies,
        ...Object.values(invitePolicies(config.INVITE_RATE_LIMIT_MAX)),
        runs,
        ...documents.policies,
        policies.socketConnects,
      ]),
    ],
  };
}

function authConfig(config: Config, secrets: Secrets): Parameters<typeof createAuth>[0]["config"] {
  return {
    accessSecrets: [secrets.jwtSecret],
    refreshSecrets: [secrets.jwtRefreshSecret],
    accessTtlMs: config.JWT_EXPIRES_IN,
    sessions: { idleMs: config.JWT_REFRESH_EXPIRES_IN, absoluteMs: config.SESSION_ABSOLUTE_EXPIRES_IN },
    bcryptRounds: config.BCRYPT_ROUNDS,
    publicUrl: config.publicUrl,
    signInLinks: config.NODE_ENV !== "production",
    limits: {
      login: config.AUTH_RATE_LIMIT_MAX,
      register: config.REGISTER_RATE_LIMIT_MAX,
      refresh: config.REFRESH_RATE_LIMIT_MAX,
    },
  };
}

function realtimeOf(
  deps: FeatureDeps,
  features: Pick<Features, "auth" | "projects" | "authzWatch" | "recorder" | "documents">,
): Realtime | undefined {
  const { config, stores } = deps;
  const { auth, projects, authzWatch, recorder, documents } = features;
  if (!config.FEATURE_REAL_TIME_COLLABORATION) return undefined;
  return createRealtime({
    ...stores,
    ...deps,
    authzWatch,
    documents,
    authenticateToken: auth.authenticator.authenticateToken,
    authenticateTicket: auth.authenticator.authenticateTicket,
    async lookUp(projectId, userId) {
      const [role, account] = await Promise.all([
        projects.access.roleIn(projectId, userId),
        auth.directory.findById(stores.database, userId),
      ]);
      return role && account && !account.disabled ? { role, name: account.name } : undefined;
    },
    limits: {
      messagesPerSecond: config.WS_MESSAGES_PER_SECOND,
      bytesPerSecond: config.WS_BYTES_PER_SECOND,
      connects: createPolicies(config).socketConnects,
      socketsPerUser: config.WS_SOCKETS_PER_USER,
      pendingUpgrades: 2_000,
    },
    // The console comes from here, and speaks to the sockets whatever other pages may.
    allowedOrigins:
      config.CORS_ORIGIN.length === 0 ? [] : [...config.CORS_ORIGIN, new URL(config.publicUrl).origin],
    recorded: (event) => recorder.record(event),
    observer: deps.socketObserver,
  });
}
