import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { AtelierError, Client } from "atelier-client";
import { type Drafts, type LiveDocument, openDocument } from "atelier-client/document";
import { startTestNode, type TestNode } from "../kit/app.js";
import { until } from "../kit/editors.js";
import { createSdkKit, refused, type SdkKit } from "../kit/sdk.js";
import { startTcpProxy, type TcpProxy } from "../kit/tcp-proxy.js";

let node: TestNode;
let kit: SdkKit;
let proxy: TcpProxy;
const open: LiveDocument[] = [];
beforeAll(async () => {
  node = await startTestNode();
  kit = createSdkKit(node);
  proxy = await startTcpProxy({ host: "127.0.0.1", port: Number(new URL(node.wsUrl).port) });
});
afterAll(async () => {
  for (const document of open) document.close();
  kit.close();
  await proxy.close();
  await node.stop();
});

/** Drafts in memory, as IndexedDB holds them in a browser. */
function memoryDrafts() {
  const held = new Map<string, Uint8Array>();
  const drafts: Drafts = {
    load: async (name) => held.get(name),
    save: async (name, state) => void held.set(name, state),
    remove: async (name) => void held.delete(name),
  };
  return { held, drafts };
}

/** Two members of a project with one file. */
async function pair(
  options: { readonly throughProxy?: boolean; readonly role?: "collaborator" | "viewer" } = {},
) {
  const through = options.throughProxy ? { wsUrl: `ws://127.0.0.1:${proxy.port}` } : {};
  const [ada, bob] = [await kit.signUp("Ada Lovelace", through), await kit.signUp("Bob Kahn")];
  const project = await ada.projects.create({ name: "Engine" });
  await ada.members.add(project.id, {
    email: bob.auth.user?.email ?? "",
    role: options.role ?? "collaborator",
  });
  const { id: workspaceId } = await ada.workspaces.create(project.id, { name: "Space", settings: {} });
  await ada.files.write(workspaceId, "a.txt", "one\n");
  return { ada, bob, projectId: project.id, workspaceId };
}

async function opened(
  client: Client,
  workspaceId: string,
  drafts: Drafts | false = false,
): Promise<LiveDocument> {
  const document = openDocument(client, workspaceId, "a.txt", { drafts });
  open.push(document);
  await document.ready();
  return document;
}

const textOf = ({ text }: LiveDocument) => text.toJSON();

describe("live documents of the client", () => {
  it("[SDK40] what one types the other has; saved means committed; cursors carry the server's word on who it is", async () => {
    const { ada, bob, workspaceId } = await pair();
    const [mine, theirs] = [await opened(ada, workspaceId), await opened(bob, workspaceId)];
    expect([textOf(mine), textOf(theirs), mine.readOnly]).toEqual(["one\n", "one\n", false]);
    const states: string[] = [];
    mine.subscribe("state", (state) => states.push(state));
    await mine.saved();
    mine.text.insert(4, "two\n");
    expect([mine.state, mine.unsaved]).toEqual(["saving", true]);
    await mine.saved();
    expect([mine.unsaved, states.at(-1)]).toEqual([false, "saved"]);
    expect(await ada.files.read(workspaceId, "a.txt")).toBe("one\ntwo\n");
    await until(() => textOf(theirs) === "one\ntwo\n", "the other has it");
    mine.awareness.setLocalStateField("user", { name: "Somebody Else", id: "x" });
    const seen = await until(
      () => theirs.awareness.getStates().get(mine.doc.clientID)?.["user"] as { name: string } | undefined,
      "a cursor",
    );
    expect(seen.name).toBe("Ada Lovelace");
    mine.close();
    await until(() => !theirs.awareness.getStates().has(mine.doc.clientID), "the cursor goes with its owner");
  });

  it("[SDK41] a cut and what both typed meanwhile: offline is said, and nothing is lost or doubled", async () => {
    const { ada, bob, workspaceId } = await pair({ throughProxy: true });
    const [mine, theirs] = [await opened(ada, workspaceId), await opened(bob, workspaceId)];
    await proxy.stop();
    await until(() => mine.state === "offline", "offline is noticed");
    mine.text.insert(0, "zero\n");
    theirs.text.insert(theirs.text.length, "three\n");
    expect(mine.unsaved).toBe(true);
    await proxy.restore();
    await mine.saved();
    await until(
      () => textOf(mine) === "zero\none\nthree\n" && textOf(theirs) === textOf(mine),
      "both have all of it",
    );
    expect(await ada.files.read(workspaceId, "a.txt")).toBe("zero\none\nthree\n");
  });

  it("[SDK42] what was typed without a connection survives the page, and goes out when it is opened again", async () => {
    const { ada, workspaceId } = await pair({ throughProxy: true });
    const { held, drafts } = memoryDrafts();
    const first = await opened(ada, workspaceId, drafts);
    await proxy.stop();
    await until(() => first.state === "offline", "offline is noticed");
    first.text.insert(0, "draft\n");
    await until(() => held.size === 1, "the draft is kept");
    first.close();
    const second = await opened(ada, workspaceId, drafts);
    expect([textOf(second), second.state]).toEqual(["draft\none\n", "offline"]);
    await proxy.restore();
    await second.saved();
    expect(await ada.files.read(workspaceId, "a.txt")).toBe("draft\none\n");
    await until(() => held.size === 0, "a draft that is committed is forgotten");
  });

  it("[SDK43] a role taken away while typing: it becomes read-only in place, stays unsaved, and goes out with the role's return", async () => {
    const { ada, bob, projectId, workspaceId } = await pair();
    const theirs = await opened(bob, workspaceId);
    await theirs.saved();
    await ada.members.setRole(projectId, bob.auth.user?.id ?? "", "viewer");
    await until(() => theirs.readOnly, "read-only");
    theirs.text.insert(0, "late\n");
    await until(() => theirs.unsaved, "unsaved");
    expect(await ada.files.read(workspaceId, "a.txt")).toBe("one\n");
    await ada.members.setRole(projectId, bob.auth.user?.id ?? "", "collaborator");
    await theirs.saved();
    expect(await ada.files.read(workspaceId, "a.txt")).toBe("late\none\n");
  });

  it("[SDK44] a file that is deleted, and access that ends, close it with a typed error and leave the text", async () => {
    const { ada, bob, projectId, workspaceId } = await pair();
    const [mine, theirs] = [await opened(ada, workspaceId), await opened(bob, workspaceId)];
    const errors: AtelierError[] = [];
    theirs.subscribe("error", (error) => errors.push(error));
    await ada.members.remove(projectId, bob.auth.user?.id ?? "");
    await until(() => theirs.closed, "closed");
    expect([errors.at(-1)?.code, textOf(theirs)]).toEqual(["forbidden", "one\n"]);
    await ada.files.delete(workspaceId, "a.txt");
    await until(() => mine.closed, "closed");
    expect([mine.error?.code, textOf(mine)]).toEqual(["not_found", "one\n"]);
    const stranger = openDocument(await kit.signUp(), workspaceId, "a.txt", { drafts: false });
    expect((await refused(stranger.ready())).code).toBe("not_found");
  });

  it("[SDK45] a session that ends closes it; one that is left with something on its way waits for the commit", async () => {
    const { ada, bob, workspaceId } = await pair();
    const theirs = await opened(bob, workspaceId);
    await theirs.saved();
    theirs.text.insert(0, "last\n");
    theirs.close();
    await until(() => theirs.closed, "closed");
    expect(theirs.unsaved).toBe(false);
    expect(await ada.files.read(workspaceId, "a.txt")).toBe("last\none\n");
    const mine = await opened(ada, workspaceId);
    await ada.auth.logout();
    await until(() => mine.closed, "closed");
  });
});
