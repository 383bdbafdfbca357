import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { Browser, Page } from "playwright-core";
import { FILES } from "../../src/demo/content.js";
import type { Person } from "../kit/api.js";
import { startTestNode, type TestNode } from "../kit/app.js";
import { seriousFaults } from "../kit/axe.js";
import { CHROMIUM, keepScreenshot, launchBrowser, openWindow, signIn, type Window } from "../kit/browser.js";
import { addressOf, writeFile } from "../kit/console-world.js";
import { until } from "../kit/editors.js";

const suite = CHROMIUM ? describe : describe.skip;
const MAIN = "src/main.js";
const RESET = `rst1.00000000-0000-4000-8000-000000000000.${"A".repeat(43)}`;

interface World {
  readonly ada: Person;
  readonly bob: Person;
  readonly projectId: string;
  readonly workspaceId: string;
  readonly jobId: string;
}

interface Shown {
  readonly name: string;
  readonly address: (world: World) => string;
  /** Until then the page is not what it will be. */
  readonly until: (page: Page, bob: Page) => Promise<unknown>;
  readonly signedOut?: boolean;
}

const heading = (name: string) => (page: Page) => page.getByRole("heading", { name, level: 1 }).waitFor();
const within = (world: World, page: string) => `/projects/${world.projectId}${page}`;

const PAGES: readonly Shown[] = [
  { name: "sign-in", address: () => "/sign-in", until: heading("Sign in"), signedOut: true },
  { name: "sign-up", address: () => "/sign-up", until: heading("Make an account"), signedOut: true },
  {
    name: "forgot-password",
    address: () => "/forgot-password",
    until: heading("Choose a new password"),
    signedOut: true,
  },
  {
    name: "reset-password",
    address: () => `/reset-password#token=${RESET}`,
    until: (page) => page.getByLabel("New password").waitFor(),
    signedOut: true,
  },
  {
    name: "verify-email",
    address: () => `/verify-email#token=${RESET.replace("rst1", "vfy1")}`,
    until: (page) => page.getByRole("alert").waitFor(),
    signedOut: true,
  },
  {
    name: "invitation",
    address: () => `/invitations/accept#token=inv1.00000000-0000-4000-8000-000000000000.1.${"A".repeat(43)}`,
    until: heading("You are invited"),
    signedOut: true,
  },
  {
    name: "projects",
    address: () => "/projects",
    until: (page) => page.getByText("Weather station").waitFor(),
  },
  {
    name: "overview",
    address: (world) => within(world, ""),
    until: (page) => page.getByText("Bob Kahn").first().waitFor(),
  },
  {
    name: "workspaces",
    address: (world) => within(world, "/workspaces"),
    until: (page) => page.getByText("Development").waitFor(),
  },
  {
    name: "members",
    address: (world) => within(world, "/members"),
    until: (page) => page.getByText("Waiting invitations").waitFor(),
  },
  {
    name: "project-jobs",
    address: (world) => within(world, "/jobs"),
    until: (page) => page.getByText("Completed").last().waitFor(),
  },
  {
    name: "activity",
    address: (world) => within(world, "/activity"),
    until: (page) => page.getByText("The last 30 days").waitFor(),
  },
  { name: "settings", address: (world) => within(world, "/settings"), until: heading("Settings") },
  {
    name: "workspace",
    address: ({ workspaceId }) => addressOf(workspaceId, MAIN),
    until: async (page, bob) => {
      await page.locator(".save-state[data-state=saved]").waitFor();
      if (!(await page.locator(".run").isVisible())) await page.getByRole("button", { name: "Run" }).click();
      await page.getByRole("button", { name: "Run", exact: true }).click();
      await page.getByText("The program ended well.").waitFor({ timeout: 30_000 });
      await bob.locator(".cm-content").focus();
      for (let line = 1; line < 7; line++) await bob.keyboard.press("ArrowDown");
      await bob.keyboard.press("Shift+End");
      await page.locator(".remote-caret-fresh").waitFor({ state: "attached" });
    },
  },
  {
    name: "history",
    address: ({ workspaceId }) => addressOf(workspaceId, MAIN),
    until: async (page) => {
      await page.getByRole("button", { name: "History" }).click();
      await page.getByRole("button", { name: /first draft/ }).click();
      await page.locator(".diff-line").first().waitFor();
    },
  },
  {
    name: "workspace-empty",
    address: ({ workspaceId }) => `/workspaces/${workspaceId}`,
    until: (page) => page.locator(".tree-row").first().waitFor(),
  },
  { name: "my-jobs", address: () => "/jobs", until: (page) => page.getByText("Completed").last().waitFor() },
  {
    name: "job",
    address: ({ jobId }) => `/jobs/${jobId}`,
    until: (page) => page.getByText("The program ended well.").waitFor(),
  },
  {
    name: "system",
    address: () => "/system",
    until: async (page) => {
      await page.getByText("Everything works").waitFor();
      await page.locator(".uplot").first().waitFor();
    },
  },
  { name: "account", address: () => "/account", until: heading("Account") },
  {
    name: "devices",
    address: () => "/account/devices",
    until: (page) => page.getByText("This device").waitFor(),
  },
  {
    name: "not-found",
    address: () => "/no-such-page",
    until: (page) => page.getByText("nothing here").waitFor(),
  },
];

/** Sizes of windows, and how they are called in the names of screenshots. */
const LOOKS = [
  { look: "light", width: 1280, height: 800, theme: "light" },
  { look: "dark", width: 1280, height: 800, theme: "dark" },
  { look: "tablet", width: 820, height: 1100, theme: "light" },
  { look: "narrow", width: 390, height: 844, theme: "light" },
  { look: "narrow-dark", width: 390, height: 844, theme: "dark" },
] as const;

suite("every page of the console (needs Chromium)", () => {
  let node: TestNode;
  let browser: Browser;
  let world: World;
  let inside: Window;
  let outside: Window;
  let beside: Window;
  beforeAll(async () => {
    node = await startTestNode();
    browser = await launchBrowser();
    world = await makeWorld(node);
    outside = await openWindow(browser, node.httpUrl);
    inside = await openWindow(browser, node.httpUrl);
    await signIn(inside.page, world.ada, "/projects");
    beside = await openWindow(browser, node.httpUrl);
    await signIn(beside.page, world.bob, addressOf(world.workspaceId, MAIN));
    await beside.page.locator(".cm-content").waitFor();
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await node?.stop();
  });

  it.each(PAGES)(
    "[CON30] $name: nothing serious for axe, no page wider than its window, in light and dark, at three sizes",
    async ({ name, address, until: shown, signedOut }) => {
      const { page, faults } = signedOut ? outside : inside;
      await page.setViewportSize({ width: 1280, height: 800 });
      await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
      // From nowhere, so that a fragment alone is a new page too.
      await page.goto("about:blank");
      await page.goto(`${node.httpUrl}${address(world)}`);
      await shown(page, beside.page);
      const found: string[] = [];
      for (const { look, width, height, theme } of LOOKS) {
        await page.setViewportSize({ width, height });
        await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
        await until(
          async () => (await page.evaluate("document.documentElement.dataset.theme")) === theme,
          "the theme",
        );
        await keepScreenshot(page, `${name}-${look}`);
        const wide = await page.evaluate<number>("document.documentElement.scrollWidth - innerWidth");
        if (wide > 0) found.push(`${look}: ${wide} px too wide`);
        if (look !== "tablet") found.push(...(await seriousFaults(page)).map((fault) => `${look}: ${fault}`));
      }
      expect(found).toEqual([]);
      expect(faults).toEqual([]);
    },
    90_000,
  );
});

async function makeWorld(node: TestNode): Promise<World> {
  const { api } = node;
  const people = [
    await api.person("Ada Lovelace"),
    await api.person("Bob Kahn"),
    await api.person("Grace Hopper"),
  ] as const;
  const [ada, bob, grace] = people;
  const ok = async (answer: ReturnType<typeof api.post>) => {
    const { status, body } = await answer;
    if (status >= 300) throw new Error(`unexpected ${status}: ${JSON.stringify(body)}`);
    return body;
  };
  const made = async (name: string, description: string) =>
    (await ok(api.post("/projects", { name, description }, ada.token))).project.id as string;
  await made("Analytical engine", "Computes tables, and corrects itself.");
  await made("Notes on notes", "What we think about what we thought.");
  const projectId = await made("Weather station", "Measures what the sky does, and says so.");
  for (const [person, role] of [
    [bob, "collaborator"],
    [grace, "viewer"],
  ] as const)
    await ok(api.post(`/projects/${projectId}/members`, { email: person.email, role }, ada.token));
  const guest = { email: "katherine@example.com", role: "collaborator" };
  await ok(api.post(`/projects/${projectId}/members`, guest, ada.token));
  const workspaces = `/projects/${projectId}/workspaces`;
  await ok(api.post(workspaces, { name: "Experiments" }, ada.token));
  const workspaceId = (await ok(api.post(workspaces, { name: "Development" }, ada.token))).workspace
    .id as string;
  for (const [path, text] of Object.entries(FILES)) await writeFile(node, ada, workspaceId, path, text);
  await ok(api.post(`/workspaces/${workspaceId}/versions`, { path: MAIN, label: "first draft" }, ada.token));
  await writeFile(
    node,
    bob,
    workspaceId,
    MAIN,
    (FILES[MAIN] ?? "").replace("await pause(300)", "await pause(30)"),
  );
  const payload = { language: "javascript", code: 'console.log("Hello, sky");' };
  const job = { type: "code_execution", payload, projectId, workspaceId };
  const jobId = (await ok(api.post("/jobs", job, ada.token))).job.id as string;
  const bad = { ...job, payload: { language: "javascript", code: 'throw new Error("No wind sensor");' } };
  await ok(api.post("/jobs", bad, bob.token));
  await until(
    async () => (await api.get(`/jobs/${jobId}`, ada.token)).body["job"].status === "completed",
    "the run",
    30_000,
  );
  return { ada, bob, projectId, workspaceId, jobId };
}
