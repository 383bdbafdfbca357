import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { Browser, Page } from "playwright-core";
import { startTestNode, type TestNode } from "../kit/app.js";
import { CHROMIUM, keepScreenshot, launchBrowser, type Window } from "../kit/browser.js";
import { editorText, makeDesk, untilSaved, windowOf } from "../kit/console-world.js";
import { until } from "../kit/editors.js";

const suite = CHROMIUM ? describe : describe.skip;

suite("the console, two people in one file (needs Chromium)", () => {
  let node: TestNode;
  let browser: Browser;
  const windows: Window[] = [];
  beforeAll(async () => {
    node = await startTestNode();
    browser = await launchBrowser();
  }, 90_000);
  afterAll(async () => {
    await browser?.close();
    await node?.stop();
  });
  const open = async (...given: Parameters<typeof windowOf>): Promise<Page> => {
    const window = await windowOf(...given);
    windows.push(window);
    await window.page.locator(".cm-content").waitFor();
    return window.page;
  };
  const type = async (page: Page, text: string) => {
    await page.locator(".cm-content").focus();
    await page.keyboard.type(text);
  };

  it("[CON20] each sees what the other types and where, by name; the state says saved when it is", async () => {
    const desk = await makeDesk(node);
    const ada = await open(browser, node.httpUrl, desk.ada, desk.address);
    const bob = await open(browser, node.httpUrl, desk.bob, desk.address);
    await type(ada, "zero ");
    await until(async () => (await editorText(bob)).startsWith("zero one"), "Bob has it");
    await bob.locator(".remote-name", { hasText: "Ada Lovelace" }).waitFor({ state: "attached" });
    await bob.locator(".cm-content").focus();
    await bob.keyboard.press("Control+End");
    await bob.keyboard.type("three");
    await ada.locator(".remote-name", { hasText: "Bob Kahn" }).waitFor({ state: "attached" });
    await Promise.all([untilSaved(ada), untilSaved(bob)]);
    expect(await editorText(ada)).toBe("zero one\nthree");
    await keepScreenshot(ada, "workspace-two-people");
    const { body } = await node.api.get(`/workspaces/${desk.workspaceId}/files/src/main.js`, desk.ada.token);
    expect(body).toBe("zero one\nthree");
    // Undoing takes back what Ada did, not what Bob did.
    await ada.locator(".cm-content").focus();
    await ada.keyboard.press("Control+z");
    await until(async () => (await editorText(bob)) === "one\nthree", "undone");
  }, 90_000);
});
