import { z } from "zod";
import type { Answer } from "./api.js";

type Json = Record<string, any>;

/** An OpenAPI document as it is served. */
export interface OpenApiDocument {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Json>>;
  readonly components: { readonly schemas: Readonly<Record<string, Json>> };
}

/** One operation of a document. */
export interface DocumentedOperation {
  readonly operationId: string;
  readonly method: string;
  /** With `{name}` for parameters. */
  readonly path: string;
  /** Where the path begins: the base path, or nothing. */
  readonly base: string;
  readonly spec: Json;
}

const METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/** The document of a running server. */
export async function fetchDocument(httpUrl: string): Promise<OpenApiDocument> {
  return (await (await fetch(`${httpUrl}/api/openapi.json`)).json()) as OpenApiDocument;
}

/** Every operation of a document, in its order. */
export function operationsOf(document: OpenApiDocument): DocumentedOperation[] {
  const servers = (holder: Json) => (holder["servers"]?.[0]?.url as string | undefined)?.replace(/\/$/, "");
  return Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item)
      .filter(([method]) => METHODS.includes(method))
      .map(([method, spec]) => ({
        operationId: spec.operationId as string,
        method: method.toUpperCase(),
        path,
        base: servers(item) ?? servers(document as unknown as Json) ?? "",
        spec: spec as Json,
      })),
  );
}

/** Says what is wrong with a live answer, by the document alone; nothing when it fits. */
export type CheckAnswer = (operation: DocumentedOperation, answer: Answer) => string[];

/** Compares answers with a document: status, media type, headers, and the body with its JSON Schema. */
export function createAnswerCheck(document: OpenApiDocument): CheckAnswer {
  const compiled = new Map<string, z.ZodType>();
  const definitions = relocate(document.components.schemas) as Json;

  function schemaOf(schema: Json): z.ZodType {
    const key = JSON.stringify(schema);
    const known = compiled.get(key);
    if (known) return known;
    const made = z.fromJSONSchema({ ...(relocate(schema) as Json), $defs: definitions });
    compiled.set(key, made);
    return made;
  }

  return ({ operationId, spec }, { status, headers, body }) => {
    const reply = spec["responses"][status] as Json | undefined;
    if (!reply) return [`${operationId}: ${status} is not documented`];
    const faults: string[] = [];
    for (const name of Object.keys(reply["headers"] ?? {}))
      if (headers.get(name) === null) faults.push(`${operationId} ${status}: the header ${name} is missing`);
    const content = Object.entries((reply["content"] ?? {}) as Json);
    if (content.length === 0) {
      if (body !== undefined) faults.push(`${operationId} ${status}: a body is not documented`);
      return faults;
    }
    const type = headers.get("content-type")?.split(";")[0] ?? "";
    const documented = content.find(([range]) => covers(range, type))?.[1];
    if (!documented) return [...faults, `${operationId} ${status}: ${type} is not documented`];
    const parsed = schemaOf(documented.schema).safeParse(body);
    for (const issue of parsed.error?.issues ?? [])
      faults.push(`${operationId} ${status}: /${issue.path.join("/")} ${issue.message}`);
    return faults;
  };
}

function covers(range: string, type: string): boolean {
  return range === "*/*" || range === type || (range.endsWith("/*") && type.startsWith(range.slice(0, -1)));
}

/** References into the components become references into `$defs`, which is where JSON Schema looks for them. */
function relocate(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(relocate);
  if (node === null || typeof node !== "object") return node;
  return Object.fromEntries(
    Object.entries(node).map(([name, value]) => [
      name,
      name === "$ref" ? String(value).replace("#/components/schemas/", "#/$defs/") : relocate(value),
    ]),
  );
}
