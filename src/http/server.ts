import cors from "cors";
import express, { type Express, type NextFunction, type Request, type Response, type Router } from "express";
import helmet from "helmet";
import { AppError } from "../errors.js";
import type { Logger } from "../platform/observability/logger.js";
import { type Admit, type Authenticator, createAdmission } from "./admission.js";
import { type BindDeps, bindRoute, type RequestLocals } from "./bind.js";
import { trustSetting } from "./client-address.js";
import { type Problem, toAppError, toProblem } from "./problem.js";
import { clientAddress, type HttpRateLimit } from "./rate-limit.js";
import { requestIdOf, traceIdOf } from "./request-id.js";
import type { Route } from "./route.js";

/** One finished request, for metrics. */
export interface RequestObservation {
  readonly method: string;
  /** Route template, or `unmatched`. */
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
}

/** What the HTTP application is made of. */
export interface HttpAppDeps extends Omit<BindDeps, "admit" | "confirm"> {
  readonly authenticator: Authenticator;
  readonly rateLimit: HttpRateLimit;
  readonly routes: readonly Route[];
  /** Such as `/api/v1`. */
  readonly basePath: string;
  /** Routers outside the base path: health, metrics, documentation, console. */
  readonly mounts: readonly { readonly path: string; readonly router: Router }[];
  readonly logger: Logger;
  readonly corsOrigins: readonly string[];
  /** Express `trust proxy`: a count or addresses. */
  readonly trustProxy: string | undefined;
  readonly observe: (observation: RequestObservation) => void;
  /** A request began (1) or ended (-1). */
  readonly inFlight: (change: 1 | -1) => void;
}

/** The Express application: request id → log → headers → CORS → routes → 404/405 → problem. */
export function createHttpApp(deps: HttpAppDeps): Express {
  const app = express();
  const admit = createAdmission(deps);
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("query parser", "simple");
  app.set("trust proxy", trustSetting(deps.trustProxy));
  app.use(identify);
  app.use(observe(deps));
  app.use(securityHeaders());
  app.use((_request, response, next) => {
    response.setHeader("Cache-Control", "no-store");
    next();
  });
  app.use(
    cors({
      origin: [...deps.corsOrigins],
      methods: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
      allowedHeaders: [
        "Authorization",
        "Content-Type",
        "Idempotency-Key",
        "If-Match",
        "If-None-Match",
        "If-Range",
        "Last-Event-ID",
        "Range",
        "X-Request-Id",
        "traceparent",
      ],
      exposedHeaders: [
        "Accept-Ranges",
        "Content-Disposition",
        "Content-Range",
        "ETag",
        "Location",
        "RateLimit",
        "RateLimit-Policy",
        "Retry-After",
        "X-Request-Id",
        "X-Access-Applied",
        "Idempotency-Replayed",
      ],
      credentials: true,
      maxAge: 600,
    }),
  );
  for (const mount of deps.mounts) app.use(mount.path, mount.router);
  app.use(deps.basePath, apiRouter(deps, admit));
  app.use(async (request: Request, response: Response) => {
    await admit(request, response, { auth: "any" });
    throw new AppError("not_found");
  });
  app.use(problemHandler(deps.logger));
  return app;
}

function apiRouter(deps: HttpAppDeps, admit: Admit): Router {
  const router = express.Router({ strict: false });
  const methods = new Map<string, Set<string>>();
  const confirm = async (request: Request) => {
    await deps.authenticator.authenticate(request.get("authorization"));
  };
  for (const route of deps.routes) {
    router[route.spec.method](route.spec.path, bindRoute(route, { ...deps, admit, confirm }));
    const known = methods.get(route.spec.path) ?? new Set();
    known.add(route.spec.method.toUpperCase());
    if (route.spec.method === "get") known.add("HEAD");
    methods.set(route.spec.path, known);
  }
  for (const [path, known] of methods) {
    router.all(path, async (request, response) => {
      await admit(request, response, { auth: "any" });
      throw new AppError("method_not_allowed", { headers: { Allow: [...known].sort().join(", ") } });
    });
  }
  return router;
}

/** How long a client may go on sending after its answer, so that it gets to read it. */
const LINGER_MS = 2_000;

function identify(request: Request, response: Response, next: NextFunction): void {
  response.once("finish", () => {
    if (request.complete) return;
    // Node reads on and throws it away; the client may be slow to notice the answer, but not for ever.
    const timer = setTimeout(() => {
      if (!request.complete) request.socket.destroy();
    }, LINGER_MS);
    timer.unref();
  });
  const requestId = requestIdOf(request.headers["x-request-id"]);
  (response.locals as RequestLocals).requestId = requestId;
  response.setHeader("X-Request-Id", requestId);
  next();
}

function observe(deps: HttpAppDeps) {
  return (request: Request, response: Response, next: NextFunction) => {
    const start = process.hrtime.bigint();
    const path = request.path;
    deps.inFlight(1);
    response.on("close", () => {
      deps.inFlight(-1);
      const seconds = Number(process.hrtime.bigint() - start) / 1e9;
      const locals = response.locals as RequestLocals;
      const status = response.writableFinished ? response.statusCode : 499;
      deps.observe({ method: request.method, route: locals.route ?? "unmatched", status, seconds });
      // The query is left out on purpose: it may hold a token.
      deps.logger.info("request", {
        requestId: locals.requestId,
        traceId: traceIdOf(request.headers.traceparent),
        method: request.method,
        path: path.slice(0, 300),
        route: locals.route,
        status,
        ms: Math.round(seconds * 1e5) / 100,
        userId: locals.userId,
        ip: clientAddress(request),
      });
    });
    next();
  };
}

function securityHeaders() {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    },
    crossOriginResourcePolicy: { policy: "same-origin" },
    frameguard: { action: "deny" },
    referrerPolicy: { policy: "no-referrer" },
    strictTransportSecurity: { maxAge: 31_536_000, includeSubDomains: true },
  });
}

function problemHandler(logger: Logger) {
  return (thrown: unknown, request: Request, response: Response, _next: NextFunction) => {
    const error = toAppError(thrown);
    const { requestId } = response.locals as RequestLocals;
    if (error.status >= 500) {
      logger[error.code === "internal_error" ? "error" : "warn"]("request failed", {
        requestId,
        code: error.code,
        error: error.cause ?? error,
      });
    }
    if (response.headersSent) {
      response.destroy();
      return;
    }
    sendProblem(response, toProblem(error, { requestId, target: request.originalUrl }));
  };
}

function sendProblem(response: Response, problem: Problem): void {
  for (const [name, value] of Object.entries(problem.headers)) {
    const before = response.getHeader(name);
    // A feature's own limit stands beside those of every request.
    const merged = name.startsWith("RateLimit") && typeof before === "string" ? union(before, value) : value;
    response.setHeader(name, merged);
  }
  response.status(problem.status).type("application/problem+json").send(JSON.stringify(problem.body));
}

function union(list: string, item: string): string {
  return list.split(", ").includes(item) ? list : `${list}, ${item}`;
}
