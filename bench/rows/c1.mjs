import { existsSync } from "node:fs";
import { chromium } from "playwright-core";
import { credentials, register, startAtelier } from "../kit/atelier.mjs";
import { Skipped, using } from "../kit/rounds.mjs";

const KEYS = 60;
const BETWEEN_MS = 60;
const CHROMIUM = [process.env.CHROMIUM_PATH, "/usr/bin/chromium", "/usr/bin/google-chrome"].find(
  (file) => file && existsSync(file),
);

/** How many of the keys are on the screen; names beside cursors have none. */
const LENGTH = `document.querySelector(".cm-content").textContent.replace(/[^x]/g, "").length`;
/** Notes when each change of the editor could be seen; both pages tell the time by the same clock. */
const WATCH = `new MutationObserver(() => {
  (window.seen ??= []).push([${LENGTH}, performance.timeOrigin + performance.now()]);
}).observe(document.querySelector(".cm-content"), { childList: true, characterData: true, subtree: true })`;
const PRESSED = `document.querySelector(".cm-content").addEventListener("keydown", (event) =>
  (window.pressed ??= []).push(performance.timeOrigin + event.timeStamp), { capture: true })`;

export const row = {
  id: "C1",
  title: "console: from a key to the other browser's screen, p50 and p95",
  goal: "p50 ≤ 50 ms on loopback",
  method:
    "Two people in the built console in one Chromium, one file. Each key is timed from its event in one page to the change of the document in the other; 60 keys a round, 60 ms apart.",

  async run(rounds) {
    if (!CHROMIUM) throw new Skipped("there is no Chromium");
    return using([() => startAtelier(), startBrowser], async (atelier, { browser }) => {
      const { tokens, projectIds } = await register(atelier.api, { users: 2 });
      const { workspace } = await atelier.api("POST", `/projects/${projectIds[0]}/workspaces`, {
        token: tokens[0],
        body: { name: "Bench" },
      });
      const address = `/workspaces/${workspace.id}?file=bench.txt`;
      const pages = [];
      for (const index of [0, 1]) {
        const context = await browser.newContext({ baseURL: `http://localhost:${atelier.httpPort}` });
        const page = await context.newPage();
        await page.goto(`/sign-in?${new URLSearchParams({ back: address })}`);
        await page.getByLabel("E-mail").fill(credentials(index).email);
        await page.getByLabel("Password").fill(credentials(index).password);
        await page.getByRole("button", { name: "Sign in" }).click();
        await page.locator('.save-state[data-state="saved"]').waitFor();
        pages.push(page);
      }
      const [writer, reader] = pages;
      await writer.evaluate(PRESSED);
      await reader.evaluate(WATCH);
      await writer.locator(".cm-content").focus();
      const measure = async () => {
        const before = await reader.evaluate(LENGTH);
        await writer.evaluate("window.pressed = []");
        await reader.evaluate("window.seen = []");
        await writer.keyboard.type("x".repeat(KEYS), { delay: BETWEEN_MS });
        await reader.waitForFunction(`${LENGTH} >= ${before + KEYS}`);
        const pressed = await writer.evaluate("window.pressed");
        const seen = await reader.evaluate("window.seen");
        const times = pressed.map((at, index) => seen.find(([length]) => length > before + index)[1] - at);
        return times.sort((a, b) => a - b);
      };
      await measure();
      const results = (await rounds.interleave([0], measure)).get(0);
      const share = (of) => results.map((times) => times[Math.floor(times.length * of)]);
      return [
        { what: "p50", unit: "ms", ours: share(0.5), met: ({ ours }) => ours <= 50 },
        { what: "p95", unit: "ms", ours: share(0.95) },
      ];
    });
  },
};

async function startBrowser() {
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  const browser = await chromium.launch({ executablePath: CHROMIUM, args });
  return { browser, stop: () => browser.close() };
}
