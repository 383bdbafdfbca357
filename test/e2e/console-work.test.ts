import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { Browser, Page } from "playwright-core";
import { startTestNode, type TestNode } from "../kit/app.js";
import { CHROMIUM, keepScreenshot, launchBrowser, openWindow, signIn } from "../kit/browser.js";
import { editorText, makeDesk, typeInto, untilSaved, windowOf, writeFile } from "../kit/console-world.js";
import { until } from "../kit/editors.js";

const suite = CHROMIUM ? describe : describe.skip;

const SLOW = `const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
for (let line = 1; line <= 60; line++) {
  console.log("line " + line);
  await pause(150);
}
`;

suite("the console at work (needs Chromium)", () => {
  let node: TestNode;
  let browser: Browser;
  beforeAll(async () => {
    node = await startTestNode();
    browser = await launchBrowser();
  }, 90_000);
  afterAll(async () => {
    await browser?.close();
    await node?.stop();
  });
  const open = async (...given: Parameters<typeof windowOf>): Promise<Page> => {
    const { page } = await windowOf(...given);
    await page.locator(".cm-content").waitFor();
    return page;
  };
  const output = (page: Page) => page.getByRole("log", { name: "Output of the run" });

  it("[CON50] a run says what it says while it runs, is stopped by a button, and its job is kept", async () => {
    const desk = await makeDesk(node, { text: SLOW });
    const page = await open(browser, node.httpUrl, desk.ada, desk.address);
    await untilSaved(page);
    await page.locator(".cm-content").focus();
    await page.keyboard.press("Control+Enter");
    await output(page).getByText("line 2", { exact: false }).first().waitFor({ timeout: 20_000 });
    await page.getByText("Running").waitFor();
    await keepScreenshot(page, "workspace-running");
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByText("Cancelled").waitFor();
    expect(await output(page).textContent()).not.toContain("line 60");
    await page.goto(`/projects/${desk.projectId}/jobs`);
    await page.locator(".job-row").first().click();
    await page.getByRole("button", { name: "Run again" }).waitFor();
    await page.getByText("line 2", { exact: false }).first().waitFor();
  }, 90_000);

  it("[CON51] a program gets its input, its arguments and its neighbours, in the language that was chosen", async () => {
    const text = "import sys\nfrom other import word\nprint(word, sys.argv[1:], input())\n";
    const desk = await makeDesk(node, { path: "main.py", text });
    await writeFile(node, desk.ada, desk.workspaceId, "other.py", 'word = "neighbour"\n');
    const page = await open(browser, node.httpUrl, desk.ada, desk.address);
    await untilSaved(page);
    expect(await page.getByLabel("Language").inputValue()).toBe("python");
    await page.getByRole("tab", { name: "Input" }).click();
    await page.getByLabel("Standard input").fill("from outside");
    await page.getByLabel("Arguments").fill('one "two three"');
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await until(
      async () => (await output(page).textContent())?.includes("neighbour ['one', 'two three'] from outside"),
      "the output",
      30_000,
    );
  }, 90_000);

  it("[CON52] a version that was saved is compared line by line and brought back, for everybody who has the file open", async () => {
    const desk = await makeDesk(node);
    const ada = await open(browser, node.httpUrl, desk.ada, desk.address);
    const bob = await open(browser, node.httpUrl, desk.bob, desk.address);
    await untilSaved(ada);
    await ada.getByRole("button", { name: "History" }).click();
    await ada.getByLabel("Name of the version").fill("works");
    await ada.getByRole("button", { name: "Save version" }).click();
    await ada.getByRole("button", { name: /^works/ }).waitFor();
    await typeInto(bob, "broken ");
    await untilSaved(bob);
    await ada.getByRole("button", { name: /^works/ }).click();
    await ada.locator(".diff-removed", { hasText: "one" }).first().waitFor();
    await ada.locator(".diff-added", { hasText: "broken one" }).waitFor();
    await ada.getByRole("button", { name: "Restore" }).click();
    await until(async () => (await editorText(bob)) === "one\n", "Bob has the old text");
    await until(async () => (await editorText(ada)) === "one\n", "Ada too");
    await ada.getByRole("button", { name: /^Before a restore/ }).waitFor();
  }, 90_000);

  it("[CON53] files go in and out: by upload, asking before one is replaced, and all of them as a zip", async () => {
    const desk = await makeDesk(node);
    const page = await open(browser, node.httpUrl, desk.ada, desk.address);
    const picker = page.getByLabel("Files to upload");
    const png = Buffer.from("89504e470d0a1a0a0000000d49484452", "hex");
    await picker.setInputFiles([
      { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("first\n") },
      { name: "pixel.png", mimeType: "image/png", buffer: png },
    ]);
    await page.getByRole("treeitem", { name: "notes.txt" }).click();
    await untilSaved(page);
    expect(await editorText(page)).toBe("first\n");
    await picker.setInputFiles([
      { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("second\n") },
    ]);
    await page.getByRole("button", { name: "Replace" }).click();
    await until(async () => (await editorText(page)) === "second\n", "the replaced text, live");
    await page.getByRole("treeitem", { name: "pixel.png" }).click();
    await page.getByText("This is not a text").waitFor();
    await page.getByRole("button", { name: "More for all files" }).click();
    const [zip] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("menuitem", { name: "Download all as a zip" }).click(),
    ]);
    expect(zip.suggestedFilename()).toBe("Development.zip");
    const other = await makeDesk(node);
    const second = await open(browser, node.httpUrl, other.ada, other.address);
    await second.getByLabel("Zip to import").setInputFiles(await zip.path());
    await second.getByText("Imported: 2 new, 0 replaced, 1 as they were.").waitFor();
    await second.getByRole("treeitem", { name: "pixel.png" }).waitFor();
  }, 90_000);

  it("[CON54] too much at once is refused in words and puts nothing in; too large a file is a 413 that says so", async () => {
    const desk = await makeDesk(node);
    const page = await open(browser, node.httpUrl, desk.ada, desk.address);
    await untilSaved(page);
    await page.locator(".cm-content").focus();
    await page.evaluate(`(() => {
      const data = new DataTransfer();
      data.setData("text/plain", "x".repeat(5_000_000));
      document.querySelector(".cm-content").dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
    })()`);
    await page.getByText("at most 4 MB can be put in at once").waitFor();
    expect(await editorText(page)).toBe("one\n");
    const large = { name: "large.txt", mimeType: "text/plain", buffer: Buffer.alloc(5_000_000, "x") };
    await page.getByLabel("Files to upload").setInputFiles([large]);
    await page.getByText("Choose something smaller.").waitFor();
    expect(await page.getByRole("treeitem", { name: "large.txt" }).count()).toBe(0);
    await typeInto(page, "still ");
    await untilSaved(page);
  }, 60_000);

  it("[CON55] events that are malformed or of unknown types change nothing and stop nothing", async () => {
    const desk = await makeDesk(node);
    const { page, faults } = await openWindow(browser, node.httpUrl);
    // In the middle between the page and the service: says what no service of today says.
    let say: (frame: string) => void = () => undefined;
    let connections = 0;
    await page.routeWebSocket(/projectId=/, (socket) => {
      connections += 1;
      const server = socket.connectToServer();
      server.onMessage((message) => socket.send(message));
      say = (frame) => socket.send(frame);
    });
    await signIn(page, desk.ada, desk.address);
    await untilSaved(page);
    await until(() => connections === 1, "the events' socket");
    const event = {
      type: "comet_seen",
      projectId: desk.projectId,
      payload: {},
      timestamp: "2030-01-01T00:00:00Z",
    };
    say(JSON.stringify(event));
    say(JSON.stringify({ type: "server.unheard_of", more: [1] }));
    await typeInto(page, "on ");
    await untilSaved(page);
    expect(connections).toBe(1);
    say("{ not json");
    // What cannot be read is not to be relied on: it connects anew, from the last good place.
    await until(() => connections === 2, "another connection");
    await writeFile(node, desk.ada, desk.workspaceId, "new.txt", "new");
    await page.getByRole("treeitem", { name: "new.txt" }).waitFor();
    expect(faults).toEqual([]);
  }, 60_000);

  it("[CON56] a page that meets 429 or 503 says what happened, how long to wait, and tries again when asked", async () => {
    const desk = await makeDesk(node);
    const { page } = await windowOf(browser, node.httpUrl, desk.ada, "/projects");
    await page.getByText("Engine").waitFor();
    const answers = [
      {
        status: 503,
        code: "dependency_unavailable",
        title: "The database is unavailable right now.",
        after: "60",
      },
      { status: 429, code: "rate_limited", title: "Too many requests.", after: "120" },
    ];
    for (const { status, code, title, after } of answers) {
      await page.route("**/api/v1/projects?*", (route) =>
        route.fulfill({
          status,
          contentType: "application/problem+json",
          headers: { "Retry-After": after },
          body: JSON.stringify({
            type: "about:blank",
            title,
            status,
            code,
            requestId: "request-1",
            errors: [],
          }),
        }),
      );
      await page.reload();
      const alert = page.getByRole("alert");
      await alert.getByText(title).waitFor();
      if (status === 429) await alert.getByText("Wait 2 minutes").waitFor();
      else await alert.getByText("Nothing you did is lost").waitFor();
      await keepScreenshot(page, `projects-${status}`);
      await page.unroute("**/api/v1/projects?*");
      await alert.getByRole("button", { name: "Try again" }).click();
      await page.getByText("Engine").waitFor();
    }
  }, 60_000);
});
