import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { sql } from "kysely";
import { v7 } from "uuid";
import { until } from "../kit/adapters.js";
import type { Answer } from "../kit/api.js";
import { connectionEnv, TEST_ENV } from "../kit/app.js";
import { startChildNode } from "../kit/child-node.js";
import {
  BAD_IDS,
  BAD_LIMITS,
  BAD_QUERIES,
  BAD_QUERY_VALUES,
  FINE_PATHS,
  hostileBodies,
} from "../kit/hostile.js";
import { expectProblem } from "../kit/http-checks.js";
import {
  createAnswerCheck,
  type DocumentedOperation,
  fetchDocument,
  operationsOf,
} from "../kit/openapi-document.js";
import {
  CALLS,
  createWorld,
  type OperationCall,
  type OwnedIds,
  send,
  type World,
} from "../kit/operations.js";
import { createTestDatabase } from "../kit/postgres.js";

// At the top, because the tests are made from the document of the running server. The node runs in a process of its own:
// what nobody catches there ends it.
const store = await createTestDatabase();
const node = await startChildNode({ env: { ...TEST_ENV, ...connectionEnv(store.connection) } });
const document = await fetchDocument(node.httpUrl);
const operations = operationsOf(document);
const check = createAnswerCheck(document);
let world: World;

beforeAll(async () => {
  // Links are made inside the process; here one that was never made has to do.
  world = await createWorld(node.api, node.output, () => `lnk1.${"A".repeat(43)}`);
  for (const [{ jobId }, { token }] of [
    [world.own, world.ada],
    [world.foreign, world.eve],
  ] as const)
    await until(async () => (await node.api.get(`/jobs/${jobId}`, token)).body.job.status === "completed");
});
afterAll(async () => {
  // The process is the one that was started, and never caught what it did not expect.
  process.kill(node.pid, 0);
  expect(node.output()).not.toMatch(/uncaught|unhandled/i);
  await node.close();
  await store.close();
});

const takesJson = ({ spec }: DocumentedOperation) =>
  spec["requestBody"]?.content["application/json"] !== undefined;
/** Names of ids in the path; the path of a file and the name of an artifact are none. */
const idsIn = ({ path }: DocumentedOperation) =>
  [...path.matchAll(/\{(\w+)\}/g)]
    .map(([, name]) => name as keyof OwnedIds)
    .filter((name) => name !== "path" && name !== "name");
const withJson = operations.filter(takesJson);
const withIds = operations.filter((operation) => idsIn(operation).length > 0);
const ofTheApi = operations.filter(({ base }) => base !== "");

function named(operationId: string): DocumentedOperation {
  const operation = operations.find((each) => each.operationId === operationId);
  if (!operation) throw new Error(`${operationId} is not documented`);
  return operation;
}

/** Tables that change on their own: leases, cursors, probes, the queue. */
const RESTLESS = ["authz_nodes", "outbox_cursors", "worker_languages", "idempotency_keys"];
/** Columns that change on their own: when a session was last used, what number an event got, what an edited file weighs. */
const RESTLESS_COLUMNS = [
  "confirmed",
  "last_used_at",
  "position",
  "sent_at",
  "attempts",
  "next_attempt_at",
  "size",
];

/** Comes two seconds after the edit it is about. */
const LATE_EVENT = "file_edited";

/** Every row of every table of ours but for what changes on its own. */
async function dump(): Promise<Record<string, unknown>> {
  const tables = store.database.tables();
  const { rows } = await sql<{ name: string }>`select table_name as name from information_schema.tables
    where table_schema = 'public' and table_type = 'BASE TABLE' order by 1`.execute(tables);
  const entries = await Promise.all(
    rows
      .filter(({ name }) => !RESTLESS.includes(name) && !/migration/.test(name))
      .map(async ({ name }) => {
        const found = await sql<{ rows: number; hash: string | null }>`select count(*) as rows,
          md5(string_agg(row_text, ',' order by row_text)) as hash
          from (select (to_jsonb(t) - ${RESTLESS_COLUMNS}::text[])::text as row_text from ${sql.table(name)} t
                where to_jsonb(t) ->> 'type' is distinct from ${LATE_EVENT}) r`.execute(tables);
        return [name, found.rows[0]] as const;
      }),
  );
  return Object.fromEntries(entries);
}

/** True when every event has come to all its consumers. */
async function atRest(): Promise<boolean> {
  const { rows } = await sql<{ rest: boolean }>`select not exists (select from outbox where position is null)
    and (select min(position) = max(position) from outbox_cursors) as rest`.execute(store.database.tables());
  return rows[0]?.rest ?? false;
}

async function expectUnchanged(work: () => Promise<void>): Promise<void> {
  await until(atRest);
  const before = await dump();
  expect(Object.keys(before)).toEqual(
    expect.arrayContaining(["users", "projects", "jobs", "outbox", "auth_sessions"]),
  );
  await work();
  await until(atRest);
  expect(await dump()).toEqual(before);
}

/** A refusal as it must be: a problem, documented, without our inside. */
function expectRefusal(operation: DocumentedOperation, answer: Answer): void {
  expectProblem(answer);
  expect(check(operation, answer)).toEqual([]);
}

const callOf = async ({ operationId }: DocumentedOperation): Promise<OperationCall> =>
  (await CALLS[operationId]?.(world)) ?? {};

describe("bodies", () => {
  it.each(withJson)(
    "[HTTP80] $operationId refuses every hostile body with its place, and nothing changes",
    async (operation) => {
      const call = await callOf(operation);
      await expectUnchanged(async () => {
        for (const { name, raw, status, code, pointer } of hostileBodies(call.body, call.free)) {
          const answer = await send(node.httpUrl, operation, call, { raw });
          const first = answer.body.errors?.[0]?.pointer;
          expect([name, answer.status, answer.body.code, first]).toEqual([
            name,
            status,
            code,
            pointer ?? first,
          ]);
          expectRefusal(operation, answer);
        }
      });
      const { status } = await send(node.httpUrl, operation, call);
      // The link that was never made is the one request here that is whole and is refused all the same.
      if (operation.operationId === "signInByLink") expect(status).toBe(410);
      else expect(status).toBeLessThan(300);
    },
  );

  it("[HTTP81] ids of others in a body are answered like ids of nobody", async () => {
    const operation = named("createJob");
    const { own, foreign, ada } = world;
    const job = { type: "code_execution", payload: { language: "javascript", code: "1" } };
    await expectUnchanged(async () => {
      for (const [theirs, nobodys] of [
        [{ projectId: foreign.projectId }, { projectId: v7() }],
        [
          { projectId: own.projectId, workspaceId: foreign.workspaceId },
          { projectId: own.projectId, workspaceId: v7() },
        ],
        [{ workspaceId: foreign.workspaceId }, { workspaceId: v7() }],
      ]) {
        const [foreignAnswer, missing] = [
          await send(node.httpUrl, operation, { as: ada, body: { ...job, ...theirs } }),
          await send(node.httpUrl, operation, { as: ada, body: { ...job, ...nobodys } }),
        ];
        expectRefusal(operation, foreignAnswer);
        expect({ ...foreignAnswer.body, requestId: "" }).toEqual({ ...missing.body, requestId: "" });
        expect([400, 404, 422]).toContain(foreignAnswer.status);
      }
    });
  });

  it("[HTTP82] SQL in every text is text: stored as it is, or refused, and never run", async () => {
    const injection = "x'); drop table projects; select pg_sleep(5)--";
    for (const operation of withJson) {
      const { operationId } = operation;
      const call = await callOf(operation);
      for (const member of Object.keys(call.body as object)) {
        const body = { ...(call.body as object), [member]: injection };
        const answer = await send(node.httpUrl, operation, { ...call, body });
        expect([operationId, member, answer.status < 500]).toEqual([operationId, member, true]);
        if (answer.status >= 300) expectRefusal(operation, answer);
        else expect(check(operation, answer)).toEqual([]);
      }
    }
    const { status } = await node.api.get(`/projects/${world.own.projectId}`, world.ada.token);
    expect(status).toBe(200);
  });
});

describe("ids in the path", () => {
  const encode = (id: string) => encodeURIComponent(id);

  it.each(withIds)(
    "[HTTP83] $operationId refuses what is no id with its name, and nothing changes",
    async (operation) => {
      const names = idsIn(operation);
      const call = await callOf(operation);
      await expectUnchanged(async () => {
        for (const name of names) {
          for (const id of BAD_IDS) {
            const answer = await send(node.httpUrl, operation, {
              ...call,
              params: { ...call.params, [name]: encode(id) },
            });
            expect([id, answer.status, answer.body.errors?.[0]?.pointer]).toEqual([id, 400, `:${name}`]);
            expectRefusal(operation, answer);
          }
          const undecodable = await send(node.httpUrl, operation, {
            ...call,
            params: { ...call.params, [name]: "%ff" },
          });
          expect(undecodable.status).toBe(400);
          expectRefusal(operation, undecodable);
        }
      });
    },
  );

  it.each(withIds)(
    "[HTTP84] $operationId answers ids of others like ids of nobody, and nothing changes",
    async (operation) => {
      const names = idsIn(operation);
      const call = await callOf(operation);
      const nobody = Object.fromEntries(names.map((name) => [name, v7()]));
      await expectUnchanged(async () => {
        const missing = await send(node.httpUrl, operation, {
          ...call,
          params: { ...call.params, ...nobody },
        });
        expect(missing.status).toBe(404);
        expectRefusal(operation, missing);
        const all = Object.fromEntries(names.map((name) => [name, world.foreign[name]]));
        // One id of another's at a time finds nothing either: a child is looked for below its own parent.
        for (const foreign of [all, ...names.map((name) => ({ [name]: world.foreign[name] }))]) {
          const answer = await send(node.httpUrl, operation, {
            ...call,
            params: { ...call.params, ...foreign },
          });
          expect([foreign, answer.status]).toEqual([foreign, 404]);
          expect({ ...answer.body, requestId: "", instance: "" }).toEqual({
            ...missing.body,
            requestId: "",
            instance: "",
          });
        }
      });
    },
  );
});

describe("queries", () => {
  it.each(ofTheApi)(
    "[HTTP85] $operationId refuses members it does not know and values that fit none, and nothing changes",
    async (operation) => {
      const call = await callOf(operation);
      const known = ((operation.spec["parameters"] ?? []) as { name: string; in: string }[]).filter(
        (parameter) => parameter.in === "query",
      );
      await expectUnchanged(async () => {
        const refuse = async (query: string) => {
          const answer = await send(node.httpUrl, operation, { ...call, query: `?${query}` });
          const pointer = answer.body.errors?.[0]?.pointer;
          expect([query, answer.status, pointer]).toEqual([query, 400, expect.stringMatching(/^\?/)]);
          expectRefusal(operation, answer);
        };
        for (const query of BAD_QUERIES) await refuse(query);
        for (const { name } of known) {
          for (const query of [`${name}=1&${name}=2`, `${name}[$gt]=`, `${name}[]=1`]) await refuse(query);
          for (const value of BAD_QUERY_VALUES)
            if (name !== "path" || !FINE_PATHS.includes(value)) await refuse(`${name}=${value}`);
        }
        if (known.some(({ name }) => name === "limit"))
          for (const limit of BAD_LIMITS) await refuse(`limit=${limit}`);
      });
    },
  );
});

describe("tokens", () => {
  const HEADERS = [
    "",
    " ",
    "Bearer",
    "Bearer ",
    "Bearer  ",
    "Bearer Bearer x",
    "bearer x",
    "Basic dXNlcjpwYXNz",
    "Token x",
    "Bearer null",
    "Bearer undefined",
    "Bearer [object Object]",
    `Bearer ${".".repeat(9)}`,
    `Bearer ${"a".repeat(12_000)}`,
    "Bearer eyJhbGciOiJub25lIn0.e30.",
    "Bearer \u00e9\u00e9",
    "Bearer x, Bearer y",
    'Bearer "x"',
    "Bearer x\ty",
    "%00",
    "{}",
  ];

  it.each(HEADERS)(
    "[HTTP86] the Authorization %j is a 401 problem on every route that wants a token",
    async (authorization) => {
      for (const operation of ["getMe", "listProjects", "createProject", "deleteProject", "createJob"].map(
        named,
      )) {
        const { as: _as, ...call } = await callOf(operation);
        const answer = await send(node.httpUrl, operation, call, {
          headers: { authorization, "content-type": "application/json" },
        });
        expect([400, 401]).toContain(answer.status);
        expectRefusal(operation, answer);
      }
    },
  );

  it("[HTTP87] a token in the query is none", async () => {
    const answer = await node.api.get(`/auth/me?access_token=${world.ada.token}`);
    expect(answer.status).toBe(401);
    expectProblem(answer);
  });
});

describe("afterwards", () => {
  it("[HTTP88] nothing is polluted: a new account and the health answer have the members they had", async () => {
    const person = await node.api.person();
    const { body } = await node.api.get("/auth/me", person.token);
    expect(Object.keys(body)).toEqual(["user"]);
    expect(Object.keys(body.user).sort()).toEqual(
      ["createdAt", "email", "emailVerified", "id", "name", "updatedAt", "version"].sort(),
    );
    const health = (await (await fetch(`${node.httpUrl}/health`)).json()) as object;
    expect(Object.keys(health)).toEqual(["status", "timestamp", "uptime"]);
  });
});
