// npm run docs: writes the generated pages anew. With --check: fails when a page is not what would be written.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { build, install, ROOT } from "./prepare.mjs";
import { sdkFiles } from "./sdk-types.mjs";

install();
build();
const { ERROR_CATALOGUE } = await import("../dist/errors.js");
const { createAsyncApiDocument } = await import("../dist/realtime/asyncapi.js");
const { VERSION } = await import("../dist/version.js");

function errorsPage() {
  const rows = Object.entries(ERROR_CATALOGUE)
    .sort(([, a], [, b]) => a.status - b.status)
    .map(([code, { status, title }]) => `| \`${code}\` | ${status} | ${title} |`);
  return `# Errors

Generated from \`src/errors.ts\` by \`npm run docs\`.

Every error of the HTTP API is an RFC 9457 problem (\`application/problem+json\`) with these members: \`type\`, \`title\`, \`status\`, \`detail\`,
\`instance\`, \`code\`, \`requestId\` and \`errors\`, a list of \`{pointer, code, message}\`. A pointer is an RFC 6901 path into the body
(\`/name\`), or \`?limit\` for the query, or \`:projectId\` for the path. Nacks of the socket protocol carry the same codes.

| code | status | meaning |
|---|---|---|
${rows.join("\n")}
`;
}

/** The document the running service serves, from a service that runs for a moment on stores of its own. */
async function openApiDocument() {
  const { createApp } = await import("../dist/app.js");
  const { readConfig } = await import("../dist/config.js");
  const { createNullLogger } = await import("../dist/platform/observability/logger.js");
  const folder = mkdtempSync(path.join(tmpdir(), "atelier-docs-"));
  const config = readConfig({
    NODE_ENV: "test",
    PORT: "0",
    HOST: "127.0.0.1",
    DATA_DIR: folder,
    FEATURE_REAL_TIME_COLLABORATION: "false",
  });
  const app = await createApp(config, { logger: createNullLogger() });
  try {
    await app.start();
    return await (await fetch(`${app.httpUrl}/api/openapi.json`)).json();
  } finally {
    await app.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

const json = (value) => `${JSON.stringify(value, null, 2)}\n`;
const asyncapi = createAsyncApiDocument({ version: VERSION, wsPort: 3001 });
const openapi = await openApiDocument();
const pages = {
  "docs/errors.md": errorsPage(),
  "docs/asyncapi.json": json(asyncapi),
  "docs/openapi.json": json(openapi),
  ...sdkFiles(openapi, asyncapi),
};
const check = process.argv.includes("--check");
let stale = 0;
for (const [name, text] of Object.entries(pages)) {
  const file = path.join(ROOT, name);
  if (existsSync(file) && readFileSync(file, "utf8") === text) continue;
  if (check) {
    console.log(`${name} is not what \`npm run docs\` writes`);
    stale += 1;
  } else {
    writeFileSync(file, text);
    console.log(`wrote ${name}`);
  }
}
process.exit(stale === 0 ? 0 : 1);
