import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, jest } from "@jest/globals";
import { nativeObstacle } from "../../src/jobs/sandbox/native-launch.js";
import { processesUnder } from "../../src/jobs/sandbox/process-tree.js";
import type { Person } from "../kit/api.js";
import { type NodeProcess, startNodeProcess } from "../kit/node-process.js";
import { createTestDatabase, type TestDatabase } from "../kit/postgres.js";
import type { HostileProgram } from "./hostile-kit.js";

import { HOSTILE_NATIVE } from "./hostile-native.js";
import { HOSTILE_OTHERS } from "./hostile-others.js";
import { DEPTH, ESCAPES, FLOODS, MEMORY, TIME } from "./hostile-programs.js";
import { HOSTILE_PYTHON } from "./hostile-python.js";
import { isRunning, waitGone } from "./sandbox-kit.js";

// Every program of every language, as jobs of a real server: what it may do to others is seen from outside.

jest.setTimeout(300_000);
const CANARY = "canary-battery-9b2e71-must-never-be-seen";
const javascript = [...TIME, ...MEMORY, ...DEPTH, ...FLOODS, ...ESCAPES].map(
  (program): HostileProgram => ({ ...program, language: "javascript" }),
);
const PROGRAMS = [...javascript, ...HOSTILE_PYTHON, ...HOSTILE_OTHERS, ...HOSTILE_NATIVE];
const REFUSED = "refused";
const OBSTACLE = nativeObstacle();
const ENDED = ["completed", "failed", "cancelled"];
const EXTENSIONS: Readonly<Record<string, string>> = { javascript: "js", python: "py" };

let database: TestDatabase;
let node: NodeProcess;
let person: Person;
let folder: string;
let listener: Server;
let connections = 0;
let available: ReadonlySet<string>;
const filesBefore = new Set(readdirSync(tmpdir()));
/** Program → the id of its job. */
const submitted = new Map<HostileProgram, string>();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "battery-"));
  mkdirSync(join(folder, "data"));
  writeFileSync(join(folder, "data", "secret.txt"), CANARY);
  listener = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  database = await createTestDatabase();
  node = await startNodeProcess(database, {
    ROLES: "api,realtime,worker",
    DATA_DIR: join(folder, "data"),
    BATTERY_CANARY: CANARY,
    SANDBOX_SLOTS: "2",
    SANDBOX_NATIVE: "1",
    JOB_RUNNING_PER_USER: "10",
    JOB_QUEUED_PER_USER: "10000",
  });
  person = await node.api.person();
  available = await languages();
  for (const program of PROGRAMS.filter(({ language }) => available.has(language)))
    submitted.set(program, await submit(program));
});
afterAll(async () => {
  const below = processesUnder(node.pid);
  await node.stop();
  expect(await waitGone(below)).toEqual([]);
  await database.close();
  listener.close();
  rmSync(folder, { recursive: true, force: true });
});

/** What the server says it can run; it says so once its probes have passed. */
async function languages(): Promise<ReadonlySet<string>> {
  for (;;) {
    const { body } = await node.api.get("/languages", person.token);
    const all = body["languages"] as { id: string; available: boolean }[];
    if (all.length > 0) return new Set(all.flatMap((language) => (language.available ? [language.id] : [])));
    await wait(100);
  }
}

/** NUL and half characters are refused at the door, as everywhere in the API. */
const isStorable = (code: HostileProgram["code"]) =>
  !/\0|\p{Surrogate}/u.test(typeof code === "string" ? code : Object.values(code).join(""));

async function submit({ language, code, limits }: HostileProgram): Promise<string> {
  const address = listener.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const fill = (text: string) =>
    text.replaceAll("{{PORT}}", String(port)).replaceAll("{{SECRET}}", join(folder, "data", "secret.txt"));
  const source =
    typeof code === "string"
      ? { code: fill(code) }
      : {
          files: Object.fromEntries(Object.entries(code).map(([path, text]) => [path, fill(text)])),
          entry: `main.${EXTENSIONS[language] ?? "js"}`,
        };
  const payload = { language, ...source, limits: { wallMs: 30_000, ...limits } };
  const answer = await node.api.post("/jobs", { type: "code_execution", payload }, person.token);
  if (answer.status === 400 && !isStorable(code)) return REFUSED;
  expect(answer).toMatchObject({ status: 202 });
  return (answer.body["job"] as { id: string }).id;
}

/** The job once it has ended, and every word the API says of it. */
async function outcomeOf(id: string) {
  for (;;) {
    const { body } = await node.api.get(`/jobs/${id}`, person.token);
    const job = body["job"] as { status: string; attempt: number; result: Record<string, unknown> | null };
    if (ENDED.includes(job.status)) {
      const logs = await node.api.get(`/jobs/${id}/logs`, person.token);
      return { job, said: JSON.stringify([job.result, logs.body]) };
    }
    await wait(50);
  }
}

for (const language of new Set(PROGRAMS.map((program) => program.language))) {
  const obstacle = language.endsWith("-native") ? OBSTACLE : undefined;
  const group = obstacle === undefined ? describe : describe.skip;
  group(`${language}${obstacle === undefined ? "" : ` (${obstacle})`}`, () => {
    const programs = PROGRAMS.filter((program) => program.language === language);
    it.each(programs.map((program) => [program.name, program] as const))(
      "[SB90] %s",
      async (_name, program) => {
        const id = submitted.get(program);
        if (id === undefined) throw new Error(`${language} should be available here`);
        if (id === REFUSED) return;
        const { job, said } = await outcomeOf(id);
        expect(job).toMatchObject({ status: "completed", attempt: 1 });
        const expected = typeof program.status === "string" ? [program.status] : program.status;
        expect({
          ...job.result,
          status: expected.includes(job.result?.["status"] as never) ? "as expected" : job.result?.["status"],
        }).toMatchObject({
          status: "as expected",
          ...(program.stdout === undefined ? {} : { stdout: program.stdout }),
        });
        expect(said).not.toContain(CANARY);
        expect(said).not.toContain("EngineError");
      },
    );
  });
}

describe("after all of them", () => {
  it("[SB91] there were at least 80 programs over all languages that run here", () => {
    expect(submitted.size).toBeGreaterThanOrEqual(200);
    expect([...available]).toEqual(
      expect.arrayContaining(["javascript", "typescript", "python", "lua", "sql"]),
    );
  });

  it("[SB91] the server is the same process, answers, and has only its idle hosts below it", async () => {
    expect(isRunning(node.pid)).toBe(true);
    expect((await node.api.get("/languages", person.token)).status).toBe(200);
    const names = processesUnder(node.pid).filter(isRunning).map(commandOf);
    expect(names.filter((name) => !/engine-host\.mjs|bwrap/.test(name))).toEqual([]);
  });

  it("[SB91] nothing was reached, written or left", () => {
    expect(connections).toBe(0);
    expect(
      readdirSync(tmpdir()).filter((name) => !filesBefore.has(name) && /escaped|atelier-native/.test(name)),
    ).toEqual([]);
    expect(readFileSync(join(folder, "data", "secret.txt"), "utf8")).toBe(CANARY);
    expect(readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && isGuest(pid))).toEqual([]);
  });
});

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "bwrap (gone)";
  }
}

/** Whether it runs as a user of native programs. */
function isGuest(pid: string): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const uid = Number(/^Uid:\s+(\d+)/m.exec(status)?.[1]);
    return uid >= 62_000 && uid < 62_500 && !/^State:\s+[ZX]/m.test(status);
  } catch {
    return false;
  }
}
