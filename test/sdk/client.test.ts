import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { AtelierError, type Client, createClient, isAtelierError, memoryStore } from "atelier-client";
import { startTestNode, type TestNode } from "../kit/app.js";

let node: TestNode;
const clients: Client[] = [];

beforeAll(async () => {
  node = await startTestNode();
});
afterAll(async () => {
  for (const client of clients) client.close();
  await node.stop();
});

/** A client with an account of its own. */
async function signUp(name = "Ada Lovelace"): Promise<Client> {
  const client = createClient({ url: node.httpUrl, storage: memoryStore() });
  clients.push(client);
  const email = `sdk${Math.random().toString(36).slice(2)}@example.com`;
  await client.auth.register({ email, password: "correct horse battery", name });
  return client;
}

const refused = (work: Promise<unknown>) =>
  work.then(
    () => {
      throw new Error("it was not refused");
    },
    (error: unknown) => {
      if (!(error instanceof AtelierError)) throw error;
      return error;
    },
  );

describe("the client", () => {
  it("[SDK1] goes through accounts, projects, members, workspaces, files and activity", async () => {
    const [ada, bob] = [await signUp(), await signUp("Bob Kahn")];
    const project = await ada.projects.create({ name: "Engine", description: "Analytical" });
    expect(await ada.projects.get(project.id)).toMatchObject({ name: "Engine", role: "owner" });
    const bobsEmail = bob.auth.user?.email ?? "";
    expect(await ada.members.add(project.id, { email: bobsEmail, role: "viewer" })).toHaveProperty("member");
    const bobsId = bob.auth.user?.id ?? "";
    expect(await ada.members.setRole(project.id, bobsId, "collaborator")).toMatchObject({
      role: "collaborator",
    });
    const workspace = await bob.workspaces.create(project.id, { name: "Main", settings: {} });
    await bob.files.write(workspace.id, "src/a b.ts", "const answer = 42;\n");
    expect(await ada.files.read(workspace.id, "src/a b.ts")).toBe("const answer = 42;\n");
    const moved = await bob.files.move(workspace.id, "src/a b.ts", "lib/answer.ts");
    expect(moved).toMatchObject([{ path: "lib/answer.ts" }]);
    await bob.files.delete(workspace.id, "lib/answer.ts");
    expect((await refused(ada.files.read(workspace.id, "lib/answer.ts"))).code).toBe("not_found");
    const renamed = await ada.projects.update(project.id, { name: "Engine 2" }, { ifMatch: project.version });
    expect(renamed.name).toBe("Engine 2");
    await ada.workspaces.delete(workspace.id);
    await ada.members.remove(project.id, bobsId);
    expect((await bob.projects.list()).items).toEqual([]);
    await ada.projects.delete(project.id);
    expect((await ada.sessions.list()).items).toMatchObject([{ current: true }]);
    expect((await ada.auth.updateMe({ name: "Augusta Ada" })).name).toBe("Augusta Ada");
    expect(ada.auth.user?.name).toBe("Augusta Ada");
    expect((await ada.limits()).limits.length).toBeGreaterThan(0);
  });

  it("[SDK2] refuses with typed errors: code, status, request id, pointers", async () => {
    const ada = await signUp();
    const short = await refused(ada.projects.create({ name: "x" }));
    expect(short).toMatchObject({ code: "validation_failed", status: 400 });
    expect(short.errors).toMatchObject([{ pointer: "/name" }]);
    expect(short.requestId).toMatch(/^[\w-]{8,64}$/);
    expect(isAtelierError(short, "validation_failed")).toBe(true);
    const project = await ada.projects.create({ name: "Engine" });
    await ada.projects.update(project.id, { name: "Engine 2" });
    const stale = await refused(
      ada.projects.update(project.id, { name: "Engine 3" }, { ifMatch: project.version }),
    );
    expect(stale).toMatchObject({ code: "version_mismatch", status: 412 });
    const nobody = createClient({ url: node.httpUrl, storage: memoryStore() });
    expect(await refused(nobody.projects.list())).toMatchObject({ code: "unauthenticated", status: 401 });
    const wrong = nobody.auth.login({ email: ada.auth.user?.email ?? "", password: "not this one" });
    expect((await refused(wrong)).code).toBe("invalid_credentials");
    nobody.close();
  });

  it("[SDK3] a list is awaited for a page and iterated for all of it", async () => {
    const ada = await signUp();
    for (let i = 0; i < 5; i++) await ada.projects.create({ name: `Project ${i}` });
    const { items, nextCursor } = await ada.projects.list({ limit: 2 });
    expect(items).toHaveLength(2);
    const next = await ada.projects.list({ limit: 2, cursor: nextCursor ?? "" });
    expect(next.items).toHaveLength(2);
    const names: string[] = [];
    for await (const { name } of ada.projects.list({ limit: 2 })) names.push(name);
    expect([...names].sort()).toEqual([0, 1, 2, 3, 4].map((i) => `Project ${i}`));
    expect(await ada.projects.list({ limit: 2 }).all(3)).toHaveLength(3);
  });

  it("[SDK4] jobs.run gives the output piece by piece and then the job", async () => {
    const ada = await signUp();
    const code = 'for (const word of ["one", "two", "three"]) console.log(word);';
    const run = ada.jobs.run({ type: "code_execution", payload: { language: "javascript", code } });
    let output = "";
    for await (const { stream, text } of run) if (stream === "stdout") output += text;
    expect(output).toBe("one\ntwo\nthree\n");
    const job = await run.result;
    expect(job).toMatchObject({ status: "completed", result: { stdout: output, exitCode: 0 } });
    const again = ada.jobs.follow(job.id);
    expect((await again.result).id).toBe(job.id);
    const bad = ada.jobs.run({ type: "code_execution", payload: { language: "cobol", code: "x" } });
    expect((await refused(bad.result)).code).toBe("unsupported_language");
  });
});
