import { z } from "zod";
import { ERROR_CATALOGUE, type ErrorCode } from "../errors.js";
import { pageQuery } from "./pagination.js";
import type { Route, RouteSpec } from "./route.js";

type Json = Record<string, unknown>;

const OUTSIDE_TAG = "Operations";

const ALWAYS: readonly ErrorCode[] = [
  "bad_request",
  "rate_limited",
  "internal_error",
  "dependency_unavailable",
];

/** A GET outside the base path, as far as the document goes. */
export interface PlainOperation {
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  readonly mediaType: string;
  readonly schema: z.ZodType;
  readonly problems?: readonly ErrorCode[];
}

/** Builds the OpenAPI 3.1 document of these routes from the schemas that validate them. */
export function createOpenApiDocument(
  routes: readonly Route[],
  info: {
    readonly title: string;
    readonly version: string;
    readonly basePath: string;
    /** What is served outside the base path. */
    readonly outside?: readonly PlainOperation[];
  },
): Json {
  const schemas: Json = { Problem: PROBLEM };
  const paths: Record<string, Json> = {};
  for (const { spec } of routes) {
    const path = spec.path.replaceAll(/[:*](\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [spec.method]: operationOf(spec, schemas) };
  }
  for (const operation of info.outside ?? []) {
    paths[operation.path] = { servers: [{ url: "/" }], get: plainOperationOf(operation, schemas) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: info.title,
      version: info.version,
      license: { name: "MIT", identifier: "MIT" },
      description: "Errors are RFC 9457 problems; `code` comes from one catalogue. Lists are cursor-paged.",
    },
    servers: [{ url: info.basePath }],
    tags: [...new Set([...routes.map(({ spec }) => spec.tag), OUTSIDE_TAG])].map((name) => ({ name })),
    paths,
    components: {
      schemas,
      securitySchemes: { bearer: { type: "http", scheme: "bearer", bearerFormat: "JWT" } },
    },
  };
}

function plainOperationOf(operation: PlainOperation, schemas: Json): Json {
  const { operationId, summary, mediaType, schema, problems = [] } = operation;
  return {
    operationId,
    tags: [OUTSIDE_TAG],
    summary,
    security: [],
    responses: {
      200: { description: "OK.", content: { [mediaType]: { schema: schemaOf(schema, "output", schemas) } } },
      ...problemsByStatus(["internal_error", ...problems]),
    },
  };
}

function operationOf(spec: RouteSpec, schemas: Json): Json {
  return {
    operationId: spec.operationId,
    tags: [spec.tag],
    summary: spec.summary,
    ...(spec.description ? { description: spec.description } : {}),
    security: spec.auth === "user" ? [{ bearer: [] }] : [],
    parameters: parametersOf(spec, schemas),
    ...(spec.body
      ? {
          requestBody: {
            required: !spec.bodyOptional,
            content: { "application/json": { schema: schemaOf(spec.body, "input", schemas) } },
          },
        }
      : {}),
    ...(spec.upload
      ? {
          requestBody: {
            required: true,
            description: `At most ${spec.upload.limit} bytes.`,
            content: { [spec.upload.mediaType]: { schema: {} } },
          },
        }
      : {}),
    responses: { ...repliesOf(spec, schemas), ...problemsOf(spec) },
  };
}

function parametersOf(spec: RouteSpec, schemas: Json): Json[] {
  const header = (name: string, description: string) => ({
    name,
    in: "header",
    required: false,
    description,
    schema: { type: "string" },
  });
  return [
    ...membersOf(spec.params, "path", schemas),
    ...(spec.list ? membersOf(pageQuery, "query", schemas) : []),
    ...membersOf(spec.query, "query", schemas),
    ...(spec.idempotent
      ? [header("Idempotency-Key", "A repeat with the same key and body is answered with the first reply.")]
      : []),
    ...(spec.conditional && spec.method !== "get"
      ? [header("If-Match", "ETag last read; 412 when the resource has changed since.")]
      : []),
    ...(Object.values(spec.replies).some(({ ranges }) => ranges)
      ? [
          header(
            "Range",
            "One part of the content, as `bytes=0-99`; several parts are answered with the whole.",
          ),
          header("If-Range", "ETag last read; the whole is answered when it has changed since."),
        ]
      : []),
    ...(spec.conditional && spec.method === "get"
      ? [header("If-None-Match", "ETag last read; 304 when it is still the same.")]
      : []),
  ];
}

function membersOf(schema: z.ZodType | undefined, where: "path" | "query", schemas: Json): Json[] {
  if (!schema) return [];
  const object = schemaOf(schema, "input", schemas) as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  return Object.entries(object.properties ?? {}).map(([name, { description, ...rest }]) => ({
    name,
    in: where,
    required: where === "path" || (object.required ?? []).includes(name),
    ...(description ? { description } : {}),
    schema: rest,
  }));
}

function repliesOf(spec: RouteSpec, schemas: Json): Json {
  const etag = spec.conditional ? { ETag: { description: "Row version.", schema: { type: "string" } } } : {};
  const replies = Object.entries(spec.replies).map(([status, reply]) => {
    const location =
      spec.idempotent && status.startsWith("20") && status !== "200"
        ? { Location: { schema: { type: "string" } } }
        : {};
    return [
      status,
      {
        description: reply.description,
        headers: { ...(status === "204" ? {} : etag), ...location },
        ...(reply.body
          ? { content: { "application/json": { schema: schemaOf(reply.body, "output", schemas) } } }
          : {}),
        ...(reply.bytes ? { content: { [reply.bytes]: { schema: {} } } } : {}),
        ...(reply.stream ? { content: { [reply.stream]: { schema: { type: "string" } } } } : {}),
      },
    ];
  });
  const partial = Object.values(spec.replies).find(({ ranges }) => ranges);
  const notModified = { 304: { description: "It is as `If-None-Match` says.", headers: etag } };
  return {
    ...(Object.fromEntries(replies) as Json),
    ...(partial
      ? {
          206: {
            description: "The part that was asked for.",
            headers: { ...etag, "Content-Range": { schema: { type: "string" } } },
            content: { [partial.bytes ?? "*/*"]: { schema: {} } },
          },
        }
      : {}),
    ...(spec.conditional && spec.method === "get" ? notModified : {}),
  };
}

function problemsOf(spec: RouteSpec): Json {
  const codes = new Set<ErrorCode>([...ALWAYS, ...(spec.problems ?? [])]);
  if (spec.auth === "user")
    for (const code of ["unauthenticated", "invalid_token", "token_expired", "session_revoked"] as const)
      codes.add(code);
  if (spec.params || spec.query || spec.body || spec.list) codes.add("validation_failed");
  if (spec.list) codes.add("invalid_cursor");
  if (spec.body)
    for (const code of ["invalid_json", "too_deep", "payload_too_large", "unsupported_media_type"] as const)
      codes.add(code);
  if (spec.upload) for (const code of ["payload_too_large", "request_timeout"] as const) codes.add(code);
  if (Object.values(spec.replies).some(({ ranges }) => ranges)) codes.add("range_not_satisfiable");
  if (spec.idempotent)
    for (const code of ["idempotency_in_progress", "idempotency_key_reused"] as const) codes.add(code);
  if (spec.conditional && spec.method !== "get") codes.add("version_mismatch");
  return problemsByStatus(codes);
}

function problemsByStatus(codes: Iterable<ErrorCode>): Json {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) {
    const { status } = ERROR_CATALOGUE[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, list]) => [
      String(status),
      {
        description: list.map((code) => `\`${code}\`: ${ERROR_CATALOGUE[code].title}`).join("\n"),
        content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
      },
    ]),
  );
}

/** JSON Schema of a Zod schema; schemas with a `meta({id})` move to the components. */
function schemaOf(schema: z.ZodType, io: "input" | "output", components: Json): Json {
  const {
    $schema: _dialect,
    $defs,
    ...rest
  } = z.toJSONSchema(schema, { io, unrepresentable: "any" }) as Json;
  for (const [name, definition] of Object.entries(($defs as Json | undefined) ?? {})) {
    components[name] = rewriteRefs(definition);
  }
  return rewriteRefs(rest) as Json;
}

function rewriteRefs(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(rewriteRefs);
  if (node === null || typeof node !== "object") return node;
  return Object.fromEntries(
    Object.entries(node)
      .filter(([key]) => key !== "id" || typeof (node as Json).id !== "string" || !("type" in node))
      .map(([key, value]) => [
        key,
        key === "$ref" && typeof value === "string"
          ? value.replace("#/$defs/", "#/components/schemas/")
          : rewriteRefs(value),
      ]),
  );
}

const PROBLEM: Json = {
  type: "object",
  required: ["type", "title", "status", "instance", "code", "requestId", "errors"],
  properties: {
    type: { type: "string" },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string" },
    instance: { type: "string" },
    code: { type: "string", enum: Object.keys(ERROR_CATALOGUE) },
    requestId: { type: "string" },
    errors: {
      type: "array",
      items: {
        type: "object",
        required: ["pointer", "code", "message"],
        properties: { pointer: { type: "string" }, code: { type: "string" }, message: { type: "string" } },
      },
    },
  },
};
