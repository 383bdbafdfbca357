/** The order of imports and the doors of docs/architecture.md, as rules. */
const LINE = ["auth", "projects", "workspaces", "documents", "jobs", "activity", "realtime", "demo"];

/** A folder may import itself and what stands to its left; everything to its right is forbidden. */
const order = LINE.map((folder, index) => ({
  name: `order-${folder}`,
  comment: `${folder} may only import from its own folder and from folders to its left`,
  severity: "error",
  from: { path: `^src/${folder}/`, pathNot: "\\.test\\.ts$" },
  to: { path: `^src/(${[...LINE.slice(index + 1), "app", "main", "lifecycle", "migrate-command"].join("|")})(/|\\.ts)` },
})).filter((rule) => rule.to.path !== "^src/()(/|\\.ts)");

const door = (vendor, path) => ({
  name: `door-${vendor.replace(/\W+/g, "-")}`,
  comment: `${vendor} has one door: ${path}`,
  severity: "error",
  from: { path: "^src/", pathNot: path },
  to: { path: `node_modules/${vendor}/` },
});

module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: { path: "^(sdk/)?src" }, to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } } },
    { name: "no-unresolved", severity: "error", from: {}, to: { couldNotResolve: true } },
    { name: "no-dev-packages", severity: "error", from: { path: "^src/", pathNot: "\\.test\\.ts$" }, to: { dependencyTypes: ["npm-dev"] } },
    { name: "no-tests-in-src", severity: "error", from: { path: "^src/", pathNot: "\\.test\\.ts$" }, to: { path: "^(test|bench)/|\\.test\\.ts$" } },
    {
      name: "client-alone",
      comment: "the client is a package of its own: nothing of the service, and only its documents know Yjs",
      severity: "error",
      from: { path: "^sdk/src/" },
      to: { pathNot: "^sdk/src/|node_modules/(yjs|y-protocols|lib0)/" },
    },
    {
      name: "client-without-yjs",
      severity: "error",
      from: { path: "^sdk/src/", pathNot: "^sdk/src/document" },
      to: { path: "^sdk/src/document|node_modules/" },
    },
    { name: "service-without-client", severity: "error", from: { path: "^src/" }, to: { path: "^sdk/|node_modules/atelier-client/" } },
    {
      name: "order-errors-config",
      severity: "error",
      from: { path: "^src/(errors|config|config-values|config-production)\\.ts$" },
      to: { path: "^src/", pathNot: "^src/(errors|config|config-values|config-production)\\.ts$" },
    },
    {
      name: "order-platform",
      severity: "error",
      from: { path: "^src/platform/", pathNot: "\\.test\\.ts$" },
      to: { path: "^src/", pathNot: "^src/(platform/|errors\\.ts|config\\.ts)" },
    },
    {
      name: "order-http-events",
      severity: "error",
      from: { path: "^src/(http|events)/", pathNot: "\\.test\\.ts$" },
      to: { path: "^src/", pathNot: "^src/(http/|events/|platform/|errors\\.ts|config\\.ts)" },
    },
    { name: "http-knows-no-events", severity: "error", from: { path: "^src/http/" }, to: { path: "^src/events/" } },
    ...order,
    {
      name: "adapters-only-in-app",
      comment: "features know ports; app.ts chooses the adapters",
      severity: "error",
      from: { path: "^src/(http|events|auth|projects|workspaces|documents|jobs|activity|realtime)/", pathNot: "\\.test\\.ts$|^src/(activity/store|jobs/sandbox)/" },
      to: { path: "^src/platform/[^/]+/(redis|memory|postgres|mongo|bullmq|smtp|winston|embedded|disk|s3)\\.ts$" },
    },
    door("express", "^src/(http/|app\\.ts|.*\\.test\\.ts)"),
    door("ws", "^src/realtime/"),
    door("yjs", "^src/documents/"),
    door("lib0", "^src/documents/"),
    door("@aws-sdk", "^src/platform/blobs/s3\\.ts"),
    door("yauzl", "^src/documents/zip-reader\\.ts"),
    door("yazl", "^src/documents/archive-writer\\.ts"),
    door("y-protocols", "^src/documents/"),
    door("diff", "^src/documents/"),
    door("pg", "^src/platform/(database|job-queue)/"),
    door("ioredis", "^src/platform/(redis/|[^/]+/redis\\.ts|job-queue/)"),
    door("mongodb", "^src/(platform/mongo/|activity/store/mongo\\.ts)"),
    door("bullmq", "^src/platform/job-queue/"),
    door("nodemailer", "^src/platform/mail/smtp\\.ts"),
    door("winston", "^src/platform/observability/winston\\.ts"),
    door("prom-client", "^src/platform/observability/metrics(\\.test)?\\.ts"),
    door("@duckdb", "^src/jobs/tools/host/"),
    door("jose", "^src/auth/"),
    door("bcrypt", "^src/auth/"),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    parser: "swc",
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { extensions: [".ts", ".mjs", ".js"], exportsFields: ["exports"], conditionNames: ["import", "node", "default", "types"] },
  },
};
