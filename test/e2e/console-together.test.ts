import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { Browser, Page } from "playwright-core";
import { startTestNode, type TestNode } from "../kit/app.js";
import { CHROMIUM, keepScreenshot, launchBrowser } from "../kit/browser.js";
import {
  editorText,
  freePort,
  makeDesk,
  typeInto,
  untilDraft,
  untilSaved,
  windowOf,
} from "../kit/console-world.js";
import { until } from "../kit/editors.js";
import { startTcpProxy, type TcpProxy } from "../kit/tcp-proxy.js";

const suite = CHROMIUM ? describe : describe.skip;

suite("the console, two people in one file (needs Chromium)", () => {
  let node: TestNode;
  let proxy: TcpProxy;
  let browser: Browser;
  beforeAll(async () => {
    const port = await freePort();
    proxy = await startTcpProxy({ host: "127.0.0.1", port });
    const publicUrl = `ws://127.0.0.1:${proxy.port}`;
    node = await startTestNode({ env: { WS_PORT: String(port), PUBLIC_WS_URL: publicUrl } });
    browser = await launchBrowser();
  }, 90_000);
  afterAll(async () => {
    await browser?.close();
    await proxy?.close();
    await node?.stop();
  });
  const open = async (...given: Parameters<typeof windowOf>): Promise<Page> => {
    const { page } = await windowOf(...given);
    await page.locator(".cm-content").waitFor();
    return page;
  };
  const contentOf = async (desk: Awaited<ReturnType<typeof makeDesk>>) =>
    (await node.api.get(`/workspaces/${desk.workspaceId}/files/src/main.js`, desk.ada.token)).body;

  it("[CON20] each sees what the other types and where, by name; the state says saved when it is", async () => {
    const desk = await makeDesk(node);
    const ada = await open(browser, node.httpUrl, desk.ada, desk.address);
    const bob = await open(browser, node.httpUrl, desk.bob, desk.address);
    await typeInto(ada, "zero ");
    await until(async () => (await editorText(bob)).startsWith("zero one"), "Bob has it");
    await bob.locator(".remote-name", { hasText: "Ada Lovelace" }).waitFor({ state: "attached" });
    await bob.locator(".cm-content").focus();
    await bob.keyboard.press("Control+End");
    await bob.keyboard.type("three");
    await ada.locator(".remote-name", { hasText: "Bob Kahn" }).waitFor({ state: "attached" });
    await Promise.all([untilSaved(ada), untilSaved(bob)]);
    expect(await editorText(ada)).toBe("zero one\nthree");
    expect(await contentOf(desk)).toBe("zero one\nthree");
    await keepScreenshot(ada, "workspace-two-people");
    // Undoing takes back what Ada did, not what Bob did.
    await ada.locator(".cm-content").focus();
    await ada.keyboard.press("Control+z");
    await until(async () => (await editorText(bob)) === "one\nthree", "undone");
  }, 90_000);

  it("[CON21] the network is cut and comes back: it is said, both type on, a reload keeps it, and nothing is lost", async () => {
    const desk = await makeDesk(node);
    const ada = await open(browser, node.httpUrl, desk.ada, desk.address);
    const bob = await open(browser, node.httpUrl, desk.bob, desk.address);
    await Promise.all([untilSaved(ada), untilSaved(bob)]);
    await proxy.stop();
    await ada.locator('.save-state[data-state="offline"]').waitFor();
    await typeInto(ada, "ada ");
    await bob.locator('.save-state[data-state="offline"]').waitFor();
    await bob.locator(".cm-content").focus();
    await bob.keyboard.press("Control+End");
    await bob.keyboard.type("bob");
    await ada.getByText("The server does not answer.").waitFor();
    await keepScreenshot(ada, "workspace-offline");
    // What was typed waits on the device, also for a page that is loaded anew.
    await untilDraft(ada);
    await ada.reload();
    await until(async () => (await editorText(ada)) === "ada one\n", "the draft");
    await proxy.restore();
    await Promise.all([untilSaved(ada), untilSaved(bob)]);
    await until(async () => (await editorText(ada)) === "ada one\nbob", "Ada has Bob's");
    await until(async () => (await editorText(bob)) === "ada one\nbob", "Bob has Ada's");
    expect(await contentOf(desk)).toBe("ada one\nbob");
  }, 90_000);

  it("[CON22] a role that is taken away while typing: it is said at once, and what was typed can be kept", async () => {
    const desk = await makeDesk(node);
    const bob = await open(browser, node.httpUrl, desk.bob, desk.address);
    await untilSaved(bob);
    await typeInto(bob, "kept ");
    await untilSaved(bob);
    const role = (value: string) =>
      node.api.request("PATCH", `/projects/${desk.projectId}/members/${desk.bob.id}`, {
        token: desk.ada.token,
        body: { role: value },
      });
    await proxy.stop();
    await bob.locator('.save-state[data-state="offline"]').waitFor();
    await bob.keyboard.type("late ");
    await role("viewer");
    await proxy.restore();
    await bob.locator('.save-state[data-state="refused"]').waitFor();
    await bob.getByText("You are a Viewer now.").waitFor();
    expect(await bob.locator(".cm-content").getAttribute("contenteditable")).toBe("false");
    await keepScreenshot(bob, "workspace-role-taken");
    const [download] = await Promise.all([
      bob.waitForEvent("download"),
      bob.getByRole("button", { name: "Download the text" }).click(),
    ]);
    expect(download.suggestedFilename()).toBe("main.js");
    expect(await contentOf(desk)).toBe("kept one\n");
    await role("collaborator");
    await untilSaved(bob);
    expect(await contentOf(desk)).toBe("kept late one\n");
  }, 90_000);

  it("[CON23] a file that somebody else deletes while it is open stays on the screen, and can be brought back", async () => {
    const desk = await makeDesk(node);
    const bob = await open(browser, node.httpUrl, desk.bob, desk.address);
    await untilSaved(bob);
    const file = `/workspaces/${desk.workspaceId}/files/src/main.js`;
    await node.api.request("DELETE", file, { token: desk.ada.token });
    await bob.getByText("deleted or moved by somebody else").waitFor();
    expect(await editorText(bob)).toBe("one\n");
    await keepScreenshot(bob, "workspace-deleted");
    await bob.getByRole("button", { name: "Bring it back" }).click();
    await untilSaved(bob);
    expect(await contentOf(desk)).toBe("one\n");
  }, 60_000);

  it("[CON24] a session that is ended elsewhere leads to signing in, says why, and back to the file", async () => {
    const desk = await makeDesk(node);
    const bob = await open(browser, node.httpUrl, desk.bob, desk.address);
    await untilSaved(bob);
    await node.api.post("/auth/logout-all", { keepCurrent: true }, desk.bob.token);
    await bob.getByText("This device was signed out.").waitFor();
    await bob.getByLabel("E-mail").fill(desk.bob.email);
    await bob.getByLabel("Password").fill(desk.bob.password);
    await bob.getByRole("button", { name: "Sign in" }).click();
    await untilSaved(bob);
    expect(await editorText(bob)).toBe("one\n");
  }, 60_000);

  it("[CON25] new, moved and deleted files appear in the tree of the others, and an open tab follows a move", async () => {
    const desk = await makeDesk(node);
    const ada = await open(browser, node.httpUrl, desk.ada, desk.address);
    const bob = await open(browser, node.httpUrl, desk.bob, desk.address);
    await ada.getByRole("button", { name: "New file" }).click();
    await ada.getByLabel("Name").fill("notes/today.md");
    await ada.getByRole("button", { name: "Create" }).click();
    const entry = bob.getByRole("treeitem", { name: "today.md" });
    await entry.waitFor();
    await entry.press("Enter");
    await bob.getByRole("tab", { name: "today.md" }).waitFor();
    await ada.getByRole("treeitem", { name: "today.md" }).press("F2");
    await ada.getByLabel("Path").fill("notes/tomorrow.md");
    await ada.getByRole("button", { name: "Move" }).click();
    await bob.getByRole("tab", { name: "tomorrow.md" }).waitFor();
    await untilSaved(bob);
    await ada.getByRole("treeitem", { name: "notes" }).press("Delete");
    await ada.getByRole("button", { name: "Delete" }).last().click();
    await bob.getByText("deleted or moved by somebody else").waitFor();
    await bob.getByRole("treeitem", { name: "tomorrow.md" }).waitFor({ state: "detached" });
  }, 60_000);
});
