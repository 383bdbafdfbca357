import { channel } from "node:diagnostics_channel";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { startTestNode, type TestNode } from "../kit/app.js";
import {
  type CheckAnswer,
  createAnswerCheck,
  type DocumentedOperation,
  fetchDocument,
  type OpenApiDocument,
  operationsOf,
} from "../kit/openapi-document.js";
import { CALLS, createWorld, send, type World } from "../kit/operations.js";

let node: TestNode;
let world: World;
let document: OpenApiDocument;
let operations: DocumentedOperation[];
let check: CheckAnswer;
let application: { readonly router: { readonly stack: readonly Layer[] } };

beforeAll(async () => {
  let announced = "";
  node = await startTestNode({
    announce: (text) => {
      announced += `${text}\n`;
    },
  });
  // Express puts itself on each request it has handled.
  const answered = channel("http.server.response.finish");
  const note = (message: unknown) => {
    application = (message as { request: { app: typeof application } }).request.app;
  };
  answered.subscribe(note);
  document = await fetchDocument(node.httpUrl);
  answered.unsubscribe(note);
  operations = operationsOf(document);
  check = createAnswerCheck(document);
  world = await createWorld(
    node.api,
    () => announced,
    (id) => node.app.features.auth.trial.issue(async () => id),
  );
});
afterAll(() => node.stop());

describe("live answers", () => {
  it("[HTTP70] every documented operation has a valid request here, and nothing else has one", () => {
    expect(operations.map(({ operationId }) => operationId).sort()).toEqual(Object.keys(CALLS).sort());
  });

  it.each(Object.keys(CALLS))(
    "[HTTP71] %s answers a valid request with success, as documented",
    async (operationId) => {
      const operation = operations.find((each) => each.operationId === operationId);
      if (!operation) throw new Error("it is not documented");
      const call = await CALLS[operationId]?.(world);
      const answer = await send(node.httpUrl, operation, call ?? {});
      expect([answer.status, answer.body]).toEqual([expect.any(Number), answer.body]);
      expect(answer.status).toBeLessThan(300);
      expect(check(operation, answer)).toEqual([]);
    },
  );

  it.each(Object.keys(CALLS))(
    "[HTTP72] %s refuses as documented: no token, a foreign one, an unknown query member, no body",
    async (operationId) => {
      const operation = operations.find((each) => each.operationId === operationId);
      if (!operation || operation.base === "") return;
      const { as, ...call } = (await CALLS[operationId]?.(world)) ?? {};
      const needsToken = operation.spec["security"].length > 0;
      const answers = [
        await send(node.httpUrl, operation, { ...call, ...(as ? { as } : {}), query: "?unknown=1" }),
      ];
      const { body: _body, ...empty } = call;
      if (
        operation.spec["requestBody"]?.required &&
        operation.spec["requestBody"].content["application/json"]
      )
        answers.push(await send(node.httpUrl, operation, { ...empty, ...(as ? { as } : {}) }));
      if (needsToken) answers.push(await send(node.httpUrl, operation, call));
      if (needsToken && call.params)
        answers.push(await send(node.httpUrl, operation, { ...call, as: world.eve }));
      for (const answer of answers) {
        expect(answer.status).toBeGreaterThanOrEqual(400);
        expect(answer.status).toBeLessThan(500);
        expect(check(operation, answer)).toEqual([]);
      }
    },
  );

  it("[HTTP73] conditional reads answer 304 as documented", async () => {
    const conditional = operations.filter(({ spec }) => spec["responses"]["304"]);
    expect(conditional.length).toBeGreaterThan(2);
    for (const operation of conditional) {
      const call = (await CALLS[operation.operationId]?.(world)) ?? {};
      const answer = await send(node.httpUrl, operation, call, { headers: { "if-none-match": "*" } });
      expect(answer.status).toBe(304);
      expect(check(operation, answer)).toEqual([]);
    }
  });

  it("[HTTP74] the check itself fails for what does not fit", () => {
    const operation = operations.find(({ operationId }) => operationId === "getProject");
    if (!operation) throw new Error("getProject is not documented");
    const answer = (status: number, body: unknown, type = "application/json") =>
      check(operation, {
        status,
        headers: new Headers({ "content-type": type, etag: '"v1"' }),
        body: body as Record<string, unknown>,
      });
    const project = {
      id: "00000000-0000-7000-8000-000000000000",
      name: "Engine",
      description: null,
      role: "owner",
      version: 1,
      createdAt: "2026-01-01T00:00:00.000Z",
      updatedAt: "2026-01-01T00:00:00.000Z",
    };
    expect(answer(200, { project })).toEqual([]);
    for (const wrong of [
      { id: "1" },
      { role: "admin" },
      { version: 0 },
      { description: 1 },
      { createdAt: "yesterday" },
      { secret: "x" },
      { name: undefined },
    ])
      expect([wrong, answer(200, { project: { ...project, ...wrong } }).length > 0]).toEqual([wrong, true]);
    expect(answer(200, { project }, "text/html")).toHaveLength(1);
    expect(answer(418, {})).toEqual(["getProject: 418 is not documented"]);
    expect(answer(304, { project })).toHaveLength(1);
    expect(answer(404, { title: "no" }, "application/problem+json").length).toBeGreaterThan(3);
  });
});

interface Layer {
  readonly name: string;
  /** Where it is mounted. */
  readonly rawPath: string;
  readonly route?: { readonly path: string; readonly methods: Record<string, boolean> };
  readonly handle: { readonly stack?: readonly Layer[] };
}

/** `METHOD /path` of every route that hangs on the Express application, found in the application itself. */
function mountedRoutes(): string[] {
  const found: string[] = [];
  const walk = (stack: readonly Layer[], base: string) => {
    for (const layer of stack) {
      if (layer.route) {
        const path = `${base}${layer.route.path}`.replaceAll(/[:*](\w+)/g, "{$1}");
        for (const method of Object.keys(layer.route.methods))
          if (method !== "_all") found.push(`${method.toUpperCase()} ${path}`);
      } else if (layer.handle.stack) walk(layer.handle.stack, base + layer.rawPath.replace(/\/$/, ""));
    }
  };
  walk(application.router.stack, "");
  return found;
}

describe("the document", () => {
  /** For people, not for programs. */
  const PAGES = ["GET /api/docs", "GET /api/docs/start.js"];

  it("[HTTP75] mounted routes and documented operations are the same", () => {
    const documented = operations.map(({ method, base, path }) => `${method} ${base}${path}`);
    expect(mountedRoutes().sort()).toEqual([...documented, ...PAGES].sort());
  });

  it("[HTTP76] is sound: ids are unique, references resolve, path parameters are declared, every reply says what it is", () => {
    expect(document.openapi).toMatch(/^3\.1\./);
    const ids = operations.map(({ operationId }) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(
      ([, ref = ""]) => ref,
    );
    expect(references.length).toBeGreaterThan(20);
    for (const reference of new Set(references)) {
      const target = reference
        .replace("#/", "")
        .split("/")
        .reduce<any>((at, part) => at?.[part.replaceAll("~1", "/").replaceAll("~0", "~")], document);
      expect([reference, typeof target]).toEqual([reference, "object"]);
    }
    for (const { operationId, path, spec } of operations) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
      const parameters = (spec["parameters"] ?? []) as {
        name: string;
        in: string;
        required: boolean;
        schema: object;
      }[];
      const declared = parameters.filter((parameter) => parameter.in === "path");
      expect([operationId, declared.map(({ name }) => name).sort((a, b) => a.localeCompare(b))]).toEqual([
        operationId,
        inPath.sort((a, b) => a.localeCompare(b)),
      ]);
      expect(declared.every(({ required }) => required)).toBe(true);
      const keys = parameters.map((parameter) => `${parameter.in} ${parameter.name}`);
      expect([operationId, new Set(keys).size]).toEqual([operationId, keys.length]);
      for (const parameter of parameters) expect(Object.keys(parameter.schema).length).toBeGreaterThan(0);
      expect(spec["summary"].length).toBeGreaterThan(3);
      expect(spec["tags"]).toHaveLength(1);
      for (const [status, reply] of Object.entries(spec["responses"]) as [string, any][]) {
        expect(reply.description.length).toBeGreaterThan(1);
        if (Number(status) >= 400) expect(Object.keys(reply.content)).toEqual(["application/problem+json"]);
      }
      expect(Object.keys(spec["responses"]).some((status) => status.startsWith("2"))).toBe(true);
    }
  });

  it("[HTTP77] every schema of a reply is closed: no member leaves that is not named, and none is a secret", () => {
    const open: string[] = [];
    const names = new Set<string>();
    const visit = (node: any, at: string) => {
      if (node === null || typeof node !== "object") return;
      if (node.type === "object" && node.properties && node.additionalProperties !== false) open.push(at);
      for (const name of Object.keys(node.properties ?? {})) names.add(name);
      for (const [name, value] of Object.entries(node)) visit(value, `${at}/${name}`);
    };
    for (const { operationId, spec } of operations) {
      for (const [status, reply] of Object.entries(spec["responses"]) as [string, any][])
        if (Number(status) < 300) visit(reply.content, `${operationId} ${status}`);
    }
    for (const [name, schema] of Object.entries(document.components.schemas))
      if (name !== "Problem") visit(schema, name);
    expect(open).toEqual([]);
    expect([...names].filter((name) => /hash|secret|salt|passwordH/i.test(name))).toEqual([]);
  });

  it("[HTTP78] the page that tries it out gets everything from here", async () => {
    const page = await (await fetch(`${node.httpUrl}/api/docs`)).text();
    const links = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link = ""]) => link);
    expect(links).toHaveLength(3);
    for (const link of links) {
      expect(link).not.toMatch(/^(?:https?:)?\/\//);
      const asset = await fetch(new URL(link, `${node.httpUrl}/api/docs`));
      expect([link, asset.status]).toEqual([link, 200]);
    }
    const start = await (await fetch(`${node.httpUrl}/api/docs/start.js`)).text();
    expect(start).toContain('url: "openapi.json"');
    expect(start).toContain("validatorUrl: null");
  });
});
