import { createRequire } from "node:module";
import path from "node:path";
import express, { type RequestHandler, type Router } from "express";
import { z } from "zod";
import type { PlainOperation } from "./openapi.js";

/** Swagger UI needs inline styles; scripts stay on our own origin. */
const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'";

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Atelier API</title>
    <link rel="stylesheet" href="docs/assets/swagger-ui.css">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="docs/assets/swagger-ui-bundle.js"></script>
    <script src="docs/start.js"></script>
  </body>
</html>
`;

const START = `SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, persistAuthorization: false, validatorUrl: null });
`;

const anyObject = z.record(z.string(), z.unknown());

/** What the document says of itself and its sibling. */
export const DOCUMENT_OPERATIONS: readonly PlainOperation[] = [
  {
    path: "/api/openapi.json",
    operationId: "getOpenApi",
    summary: "This document",
    mediaType: "application/json",
    schema: anyObject,
  },
  {
    path: "/api/asyncapi.json",
    operationId: "getAsyncApi",
    summary: "The messages of the sockets",
    mediaType: "application/json",
    schema: anyObject,
  },
];

/** Serves the documents at `/openapi.json` and `/asyncapi.json`, and Swagger UI at `/docs`, from this origin alone. */
export function createDocsRouter(documents: {
  readonly openapi: unknown;
  readonly asyncapi: unknown;
}): Router {
  const router = express.Router();
  const assets = path.dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));
  for (const [name, document] of Object.entries(documents)) {
    const body = JSON.stringify(document);
    router.get(`/${name}.json`, (_request, response) => {
      response.type("application/json").send(body);
    });
  }
  router.get("/docs", (request, response) => {
    if (request.originalUrl.split("?")[0]?.endsWith("/")) return response.redirect(308, "../docs");
    response.setHeader("Content-Security-Policy", PAGE_POLICY);
    return response.type("text/html").send(PAGE);
  });
  router.get("/docs/start.js", (_request, response) => {
    response.type("text/javascript").send(START);
  });
  const cacheable: RequestHandler = (_request, response, next) => {
    response.removeHeader("Cache-Control");
    next();
  };
  router.use("/docs/assets", cacheable, express.static(assets, { index: false, maxAge: "1h" }));
  return router;
}
