import { afterAll, afterEach, beforeAll, describe, expect, it } from "@jest/globals";
import { sql } from "kysely";
import type { Person } from "../kit/api.js";
import { rowsOf, startCompactor, writeEdits } from "../kit/compactor.js";
import { type DocumentBench, startDocumentBench } from "../kit/document-bench.js";
import { until } from "../kit/editors.js";

let bench: DocumentBench;
beforeAll(async () => {
  bench = await startDocumentBench();
});
afterAll(() => bench.stop());
afterEach(() => bench.closeEditors());

interface Version {
  readonly id: string;
  readonly kind: string;
  readonly label: string | null;
  readonly size: number;
  readonly authors: readonly string[];
  readonly createdBy: string | null;
  readonly path: string;
}

const database = () => bench.database.database;
const base = () => `/workspaces/${bench.workspaceId}/versions`;
const call = (method: string, path: string, who: Person = bench.ada, body?: unknown) =>
  bench.node.api.request(method, `${base()}${path}`, {
    token: who.token,
    ...(body === undefined ? {} : { body }),
  });
const list = async (path: string, who = bench.ada) =>
  (await call("GET", `?path=${encodeURIComponent(path)}`, who)).body.versions as Version[];
const save = async (path: string, label?: string, who = bench.ada) => {
  const { status, body } = await call("POST", "", who, { path, ...(label === undefined ? {} : { label }) });
  expect(status).toBe(201);
  return body.version as Version;
};
const content = async (id: string) => (await call("GET", `/${id}`)).body.content as string;
const restore = (id: string, who = bench.ada) => call("POST", `/${id}/restore`, who);

async function idOf(path: string): Promise<string> {
  const { rows } = await sql<{ id: string }>`
    select id from files where path = ${path} and workspace_id = ${bench.workspaceId}`.execute(
    database().tables(),
  );
  return rows[0]?.id ?? "";
}

/**
 * Compacts what is due at another time. The node of the bench does so too: what it has in hand, or leaves alone for a while,
 * is looked at again.
 */
async function sweepAt(ms: number): Promise<void> {
  const compactor = startCompactor(database(), {
    clock: { now: () => Date.now() + ms },
    times: { rest: 120_000, every: 600_000 },
  });
  for (let held = 1; held > 0; ) {
    await sql`update document_leases set expires_at = now() where owner is null`.execute(database().tables());
    await compactor.compaction.sweep();
    const { rows } = await sql`select 1 from document_leases where expires_at > clock_timestamp()`.execute(
      database().tables(),
    );
    held = rows.length;
  }
  await compactor.close();
}

describe("automatic versions", () => {
  it("[VER1] a document that was edited and rests has a version with those who edited", async () => {
    await bench.put("rest.md", "one\n");
    await bench.put("rest.md", "one\ntwo\n", {}, bench.cy);
    await sweepAt(60_000);
    expect(await list("rest.md")).toEqual([]);
    await sweepAt(130_000);
    const [version, ...others] = await list("rest.md");
    expect(others).toEqual([]);
    expect(version).toMatchObject({ kind: "automatic", label: null, createdBy: null, size: 8 });
    expect([...(version?.authors ?? [])].sort()).toEqual([bench.ada.id, bench.cy.id].sort());
    expect(await content(version?.id ?? "")).toBe("one\ntwo\n");
    await sweepAt(900_000);
    expect(await list("rest.md")).toHaveLength(1);
    await bench.put("rest.md", "three\n", {}, bench.cy);
    await sweepAt(130_000);
    expect((await list("rest.md")).map(({ authors }) => authors)).toEqual([[bench.cy.id], version?.authors]);
  });

  it("[VER2] a document that is edited without a rest has a version every ten minutes", async () => {
    await bench.put("busy.md", "a");
    const id = await idOf("busy.md");
    await sql`update documents set dirty_since = now() - interval '11 minutes' where id = ${id}`.execute(
      database().tables(),
    );
    await sweepAt(0);
    expect(await list("busy.md")).toHaveLength(1);
    await bench.put("busy.md", "b");
    await sweepAt(60_000);
    expect(await list("busy.md")).toHaveLength(1);
  });

  it("[VER3] a text that is what the newest version holds makes none, and a text that is too long makes none", async () => {
    await bench.put("same.md", "same");
    await sweepAt(130_000);
    await bench.put("same.md", "other");
    await bench.put("same.md", "same");
    await sweepAt(130_000);
    expect(await list("same.md")).toHaveLength(1);
    const id = await idOf("same.md");
    await writeEdits(database(), id, bench.ada.id, 17, () => "x".repeat(1024 * 1024));
    await sweepAt(130_000);
    expect(await list("same.md")).toHaveLength(1);
    expect(await rowsOf(database(), id)).toMatchObject({ updates: 0 });
    expect((await call("POST", "", bench.ada, { path: "same.md" })).status).toBe(422);
  });

  it("[VER4] old ones are thinned, and those that were saved are kept", async () => {
    await bench.put("thin.md", "0");
    const saved = await save("thin.md", "Begin");
    for (let i = 1; i <= 3; i++) {
      await bench.put("thin.md", `${i}`);
      await sweepAt(130_000 + i);
    }
    expect(await list("thin.md")).toHaveLength(4);
    const twoDays = 2 * 86_400_000;
    await sweepAt(twoDays);
    const left = await list("thin.md");
    expect(left.length).toBeLessThan(4);
    expect(left.map(({ id }) => id)).toContain(saved.id);
    expect(await content(left[0]?.id ?? "")).toBe("3");
    await sweepAt(50 * twoDays);
    expect((await list("thin.md")).map(({ id }) => id)).toContain(saved.id);
  });
});

describe("saved versions", () => {
  it("[VER5] hold every edit that was acknowledged, with label, author and size, and outlive compaction and moves", async () => {
    const editor = bench.edit("hocuspocus 3", "saved.md");
    await editor.synced();
    editor.text.insert(0, "Grüße\n");
    await until(() => !editor.provider.hasUnsyncedChanges, "kept");
    const events = await bench.node.socket(bench.vera.token, bench.projectId);
    const version = await save("saved.md", "  Draft 1 ");
    expect(version).toMatchObject({
      kind: "saved",
      label: "Draft 1",
      size: 8,
      authors: [bench.ada.id],
      createdBy: bench.ada.id,
      path: "saved.md",
    });
    expect(await events.next(({ type }) => type === "version_created")).toMatchObject({
      userId: bench.ada.id,
      payload: { path: "saved.md", versionId: version.id, label: "Draft 1" },
    });
    editor.text.insert(0, "more ");
    await until(() => !editor.provider.hasUnsyncedChanges, "kept");
    await sweepAt(130_000);
    expect((await rowsOf(database(), await idOf("saved.md"))).updates).toBe(0);
    await bench.node.api.post(
      `/workspaces/${bench.workspaceId}/moves`,
      { from: "saved.md", to: "moved/saved.md" },
      bench.ada.token,
    );
    expect((await list("moved/saved.md")).map(({ id, path }) => [id, path])).toContainEqual([
      version.id,
      "moved/saved.md",
    ]);
    expect(await content(version.id)).toBe("Grüße\n");
    const nothing = await save("moved/saved.md");
    expect(nothing).toMatchObject({ label: null, authors: [] });
  });

  it("[VER6] go with their file, and with its workspace", async () => {
    await bench.put("gone.md", "text");
    const { id } = await save("gone.md");
    await bench.node.api.request("DELETE", bench.file("gone.md"), { token: bench.ada.token });
    expect((await call("GET", `/${id}`)).status).toBe(404);
    expect((await call("GET", "?path=gone.md")).status).toBe(404);
    await bench.put("gone.md", "again");
    expect(await list("gone.md")).toEqual([]);
    const { rows } = await sql`select 1 from document_versions where id = ${id}`.execute(database().tables());
    expect(rows).toEqual([]);
  });

  it("[VER7] the list walks every version once, newest first, and an Idempotency-Key makes one", async () => {
    await bench.put("list.md", "x");
    const made: string[] = [];
    for (let i = 0; i < 7; i++) made.unshift((await save("list.md", `v${i}`)).id);
    const walked: string[] = [];
    let cursor = "";
    do {
      const { body } = await call("GET", `?path=list.md&limit=3${cursor}`);
      walked.push(...body.versions.map(({ id }: Version) => id));
      cursor = body.nextCursor === null ? "" : `&cursor=${body.nextCursor}`;
      if (walked.length === 3) await save("list.md", "meanwhile");
    } while (cursor);
    expect(walked).toEqual(made);
    const once = () =>
      bench.node.api.request("POST", base(), {
        token: bench.ada.token,
        body: { path: "list.md" },
        headers: { "idempotency-key": "the-one-version" },
      });
    const [first, second] = [await once(), await once()];
    expect(second.body).toEqual(first.body);
    expect(await list("list.md")).toHaveLength(9);
  });

  it("[VER8] Viewers read, Collaborators write, outsiders see nothing; bad input is refused", async () => {
    await bench.put("roles.md", "text");
    const { id } = await save("roles.md");
    await save("roles.md", "By Cy", bench.cy);
    for (const path of ["?path=roles.md", `/${id}`, `/${id}/diff`]) {
      expect((await call("GET", path, bench.vera)).status).toBe(200);
      expect((await call("GET", path, bench.mallory)).status).toBe(404);
    }
    expect((await call("POST", "", bench.vera, { path: "roles.md" })).status).toBe(403);
    expect((await restore(id, bench.vera)).status).toBe(403);
    expect((await call("POST", "", bench.mallory, { path: "roles.md" })).status).toBe(404);
    expect((await restore(id, bench.mallory)).status).toBe(404);
    expect((await call("GET", "?path=../x")).status).toBe(400);
    expect((await call("GET", "")).status).toBe(400);
    expect((await call("GET", "?path=missing.md")).status).toBe(404);
    expect((await call("POST", "", bench.ada, { path: "roles.md", label: "x".repeat(101) })).status).toBe(
      400,
    );
    expect((await call("POST", "", bench.ada, { path: "roles.md", label: "\u202Eevil" })).status).toBe(400);
    expect((await call("GET", `/${id}/diff?against=yesterday`)).status).toBe(400);
    await bench.put("other.md", "text");
    const other = await save("other.md");
    expect((await call("GET", `/${id}/diff?against=${other.id}`)).status).toBe(404);
  });
});

describe("comparing versions", () => {
  const lines = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, i) => `line ${from + i}\n`).join("");

  it("[VER9] gives hunks of lines with kinds and numbers, against now, the version before, and any other", async () => {
    await bench.put("diff.md", lines(1, 30));
    const first = await save("diff.md");
    await bench.put("diff.md", lines(1, 9) + "changed\n" + lines(11, 30) + "new");
    const second = await save("diff.md");
    const { body } = await call("GET", `/${second.id}/diff?against=previous`);
    expect(body.diff).toMatchObject({
      from: first.id,
      to: second.id,
      added: 2,
      removed: 1,
      truncated: false,
      coarse: false,
    });
    expect(body.diff.hunks).toEqual([
      {
        lines: [
          { kind: "same", from: 7, to: 7, text: "line 7\n" },
          { kind: "same", from: 8, to: 8, text: "line 8\n" },
          { kind: "same", from: 9, to: 9, text: "line 9\n" },
          { kind: "removed", from: 10, text: "line 10\n" },
          { kind: "added", to: 10, text: "changed\n" },
          { kind: "same", from: 11, to: 11, text: "line 11\n" },
          { kind: "same", from: 12, to: 12, text: "line 12\n" },
          { kind: "same", from: 13, to: 13, text: "line 13\n" },
        ],
      },
      {
        lines: [
          { kind: "same", from: 28, to: 28, text: "line 28\n" },
          { kind: "same", from: 29, to: 29, text: "line 29\n" },
          { kind: "same", from: 30, to: 30, text: "line 30\n" },
          { kind: "added", to: 31, text: "new" },
        ],
      },
    ]);
    const now = (await call("GET", `/${second.id}/diff`)).body.diff;
    expect(now).toMatchObject({ from: "current", hunks: [], added: 0, removed: 0 });
    const back = (await call("GET", `/${first.id}/diff?against=${second.id}`)).body.diff;
    expect(back).toMatchObject({ from: second.id, to: first.id, added: 1, removed: 2 });
    const begun = (await call("GET", `/${first.id}/diff?against=previous`)).body.diff;
    expect(begun).toMatchObject({ from: "empty", added: 30, removed: 0 });
  });

  it("[VER10] hostile texts are compared at a bounded cost and shown at a bounded length", async () => {
    const noise = (count: number) =>
      Array.from({ length: count }, () => Math.random().toString(36)).join("\n");
    await bench.put("noise.md", noise(100_000));
    const first = await save("noise.md");
    await bench.put("noise.md", noise(100_000));
    const coarse = (await call("GET", `/${first.id}/diff`)).body.diff;
    expect(coarse).toMatchObject({ coarse: true, truncated: true, added: 100_000, removed: 100_000 });
    expect(coarse.hunks[0].lines).toHaveLength(5_000);
    await bench.put("noise.md", "\n".repeat(2_000_000));
    const empty = (await call("GET", `/${first.id}/diff`)).body.diff;
    expect(empty).toMatchObject({ coarse: true, truncated: true, hunks: [], removed: 2_000_000 });
    await bench.put("noise.md", "y".repeat(3_000_000));
    const long = (await call("GET", `/${first.id}/diff`)).body.diff;
    expect(long).toMatchObject({ truncated: true, removed: 1 });
  });
});

describe("restoring", () => {
  it("[VER11] is an update that open editors see, and keeps what they type meanwhile; who did it is known", async () => {
    await bench.put("restore.md", "alpha\nbeta\ngamma\n");
    const version = await save("restore.md", "Good");
    await bench.put("restore.md", "alpha\nBROKEN\ngamma\n");
    const [ada, cy] = [
      bench.edit("y-websocket 3", "restore.md"),
      bench.edit("hocuspocus 4", "restore.md", bench.cy),
    ];
    await Promise.all([ada.synced(), cy.synced()]);
    const events = await bench.node.socket(bench.vera.token, bench.projectId);
    let typing = true;
    let typed = 0;
    const type = async () => {
      while (typing) {
        ada.text.insert(ada.text.length, `a${typed};`);
        cy.text.insert(0, `c${typed};`);
        typed += 1;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    const done = type();
    await until(() => typed > 5, "people type");
    const seen: number[] = [];
    ada.text.observe(() => seen.push(ada.text.length));
    const { status, body } = await restore(version.id, bench.cy);
    const typedByAnswer = typed;
    await until(() => typed > typedByAnswer + 5, "people go on");
    typing = false;
    await done;
    expect(status).toBe(200);
    expect(seen.length).toBeGreaterThan(0);
    await ada.reads((text) => text.includes("beta\n") && text === cy.text.toJSON());
    const text = ada.text.toJSON();
    expect(text).not.toContain("BROKEN");
    // What came after the restore is there, of both.
    for (const last of [typed - 1, typed - 2]) {
      expect(text).toContain(`a${last};`);
      expect(text).toContain(`c${last};`);
    }
    expect(await events.next(({ type }) => type === "file_restored")).toMatchObject({
      userId: bench.cy.id,
      payload: { path: "restore.md", versionId: version.id },
    });
    expect(body.before).toMatchObject({ kind: "before_restore", createdBy: bench.cy.id });
    expect(await content(body.before.id)).toContain("BROKEN");
    await until(() => !cy.provider.hasUnsyncedChanges, "kept");
    await ada.reads((now) => now === cy.text.toJSON());
    expect(await bench.read("restore.md")).toBe(ada.text.toJSON());
  });

  it("[VER12] can be undone by restoring what it replaced, and restoring what is there already changes nothing", async () => {
    await bench.put("undo.md", "one");
    const one = await save("undo.md");
    await bench.put("undo.md", "two");
    const { body } = await restore(one.id);
    expect(await bench.read("undo.md")).toBe("one");
    await restore(body.before.id);
    expect(await bench.read("undo.md")).toBe("two");
    const count = (await list("undo.md")).length;
    const same = await restore(body.before.id);
    expect(same.body.before).toBeNull();
    expect(await list("undo.md")).toHaveLength(count);
    expect(same.body.file).toMatchObject({ path: "undo.md", size: 3 });
    const { rows } = await sql<{ user_id: string }>`
      select user_id from document_updates where document_id = ${await idOf("undo.md")}`.execute(
      database().tables(),
    );
    expect(new Set(rows.map((row) => row.user_id))).toEqual(new Set([bench.ada.id]));
  });

  it("[VER12] restores at the same time leave one of the texts, everywhere", async () => {
    await bench.put("race.md", "one\n");
    const one = await save("race.md");
    await bench.put("race.md", "two\n");
    const two = await save("race.md");
    await bench.put("race.md", "three\n");
    const editor = bench.edit("y-websocket 2", "race.md");
    await editor.synced();
    const answers = await Promise.all([restore(one.id), restore(two.id, bench.cy)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    const text = await bench.read("race.md");
    expect(["one\n", "two\n"]).toContain(text);
    await editor.reads(text);
  });
});
