import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import express, { type Request, type RequestHandler, type Response, type Router } from "express";

/** Where `npm run build` leaves the console; the same from `src` and from `dist`. */
export const CONSOLE_FOLDER = fileURLToPath(new URL("../../console/dist", import.meta.url));

/** First parts of the paths the console has pages for; another address gets the page that says so, with 404. */
const PAGES = new Set([
  "",
  "sign-in",
  "sign-up",
  "sign-in-link",
  "forgot-password",
  "reset-password",
  "verify-email",
  "invitations",
  "projects",
  "workspaces",
  "jobs",
  "account",
  "notifications",
  "system",
]);

/** Below these nothing is a page, whatever a client accepts. */
const NO_PAGES = /^\/(?:api|health|livez|readyz|metrics|assets)(?:\/|$)/;

const TYPES: Readonly<Record<string, string>> = {
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".webmanifest": "application/manifest+json",
  ".woff2": "font/woff2",
  ".txt": "text/plain; charset=utf-8",
};

/** A file as it is sent. */
interface Asset {
  readonly type: string;
  readonly immutable: boolean;
  readonly plain: Buffer;
  readonly br: Buffer | undefined;
  readonly gzip: Buffer | undefined;
}

/**
 * Serves the built console: its page at every address of its own (for browsers, that ask for HTML), hashed assets for a
 * year, compressed when the build made them so. Everything else is handed on, so that the API answers for itself. When the
 * console was not built, `/` leads to the documentation.
 *
 * @param folder what the build made: `index.html` with `__NONCE__` and `__SOCKETS__` in it, and its assets.
 * @param socketsUrl tells from a request where the sockets are, such as `ws://localhost:3001`; undefined when there are none.
 */
export function createConsoleRouter({
  folder,
  socketsUrl,
}: {
  readonly folder: string;
  readonly socketsUrl: (request: Request) => string | undefined;
}): Router {
  const router = express.Router();
  const index = path.join(folder, "index.html");
  if (!existsSync(index)) {
    router.use((request, response, next) => {
      if (request.path !== "/" || !isRead(request)) return next();
      return response.redirect(302, "/api/docs");
    });
    return router;
  }
  const [head = "", ...rest] = readFileSync(index, "utf8").split("__NONCE__");
  const page = { head, rest };
  const assets = readAssets(folder);
  router.use(serveAsset(assets));
  router.use(servePage(page, socketsUrl));
  return router;
}

function serveAsset(assets: ReadonlyMap<string, Asset>): RequestHandler {
  return (request, response, next) => {
    const asset = isRead(request) ? assets.get(request.path) : undefined;
    if (!asset) return next();
    response.setHeader("Content-Type", asset.type);
    response.setHeader("Vary", "Accept-Encoding");
    response.setHeader(
      "Cache-Control",
      asset.immutable ? "public, max-age=31536000, immutable" : "public, max-age=3600",
    );
    const encoding = request.acceptsEncodings(["br", "gzip", "identity"]);
    const packed = encoding === "br" ? asset.br : encoding === "gzip" ? asset.gzip : undefined;
    if (packed && encoding) response.setHeader("Content-Encoding", encoding);
    const body = packed ?? asset.plain;
    response.setHeader("Content-Length", body.length);
    return request.method === "HEAD" ? response.end() : response.end(body);
  };
}

function servePage(
  page: { readonly head: string; readonly rest: readonly string[] },
  socketsUrl: (request: Request) => string | undefined,
): RequestHandler {
  return (request, response, next) => {
    if (!isRead(request) || NO_PAGES.test(request.path) || !wantsHtml(request)) return next();
    const nonce = randomBytes(18).toString("base64");
    const sockets = socketsUrl(request);
    response.status(PAGES.has(request.path.split("/")[1] ?? "") ? 200 : 404);
    response.setHeader("Vary", "Accept");
    response.setHeader("Content-Security-Policy", pagePolicy(nonce, sockets));
    const html = [page.head, ...page.rest].join(nonce).replace("__SOCKETS__", sockets ?? "");
    return sendHtml(request, response, html);
  };
}

function sendHtml(request: Request, response: Response, html: string): void {
  response.type("text/html");
  if (request.method === "HEAD") response.end();
  else response.end(html);
}

/**
 * Scripts come from this origin alone, styles too or carry the page's nonce (the editor makes its own), and only this
 * origin and the sockets can be spoken to.
 */
function pagePolicy(nonce: string, sockets: string | undefined): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data: blob:",
    "font-src 'self'",
    `connect-src 'self'${sockets ? ` ${originOf(sockets)}` : ""}`,
    "manifest-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}

function originOf(address: string): string {
  const { protocol, host } = new URL(address);
  return `${protocol}//${host}`;
}

const isRead = (request: Request) => request.method === "GET" || request.method === "HEAD";

/** A browser that opens an address names `text/html`; a program that takes anything does not get a page for an answer. */
const wantsHtml = (request: Request) => /\btext\/html\b/i.test(request.get("accept") ?? "");

function readAssets(folder: string): ReadonlyMap<string, Asset> {
  const assets = new Map<string, Asset>();
  const walk = (at: string) => {
    for (const entry of readdirSync(path.join(folder, at), { withFileTypes: true })) {
      const name = path.posix.join(at, entry.name);
      if (entry.isDirectory()) walk(name);
      const type = TYPES[path.extname(name)];
      if (!entry.isFile() || type === undefined) continue;
      assets.set(`/${name}`, {
        type,
        immutable: name.startsWith("assets/"),
        plain: readFileSync(path.join(folder, name)),
        br: readIfThere(path.join(folder, `${name}.br`)),
        gzip: readIfThere(path.join(folder, `${name}.gz`)),
      });
    }
  };
  walk("");
  return assets;
}

function readIfThere(file: string): Buffer | undefined {
  return existsSync(file) ? readFileSync(file) : undefined;
}

/**
 * Tells where a page's sockets are: what is configured, or the host the page came from with the sockets' own port.
 *
 * @param configured `PUBLIC_WS_URL`.
 * @param port where the sockets listen; undefined when they share the listener of the API.
 */
export function createSocketsUrl({
  configured,
  port,
}: {
  readonly configured: string | undefined;
  readonly port: () => number | undefined;
}): (request: Request) => string | undefined {
  return (request) => {
    if (configured !== undefined) return configured;
    const host = request.get("host") ?? "";
    const name = /^(\[[\da-f:]+\]|[\w.-]+)(?::\d+)?$/i.exec(host)?.[1];
    if (name === undefined) return undefined;
    const scheme = request.secure ? "wss" : "ws";
    const own = port();
    return own === undefined ? `${scheme}://${host}` : `${scheme}://${name}:${own}`;
  };
}
