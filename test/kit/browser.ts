import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Where screenshots of a test run are kept. */
export const ARTIFACTS = path.join(ROOT, "artifacts");

/** The browser the tests drive: `CHROMIUM_PATH`, or where Debian and others install it; undefined when there is none. */
export const CHROMIUM = [
  process.env["CHROMIUM_PATH"],
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
].find((file) => file !== undefined && existsSync(file));

/** Starts it without a window; as root it cannot have a sandbox of its own. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM ?? "",
    args: [
      "--disable-dev-shm-usage",
      "--force-color-profile=srgb",
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
    ],
  });
}

/** One person's browser: storage of its own, and everything it complained about. */
export interface Window {
  readonly context: BrowserContext;
  readonly page: Page;
  /** Errors of scripts, and what the page's policy refused. */
  readonly faults: readonly string[];
}

/** What a window is like. */
export interface WindowOptions {
  readonly width?: number;
  readonly height?: number;
  readonly theme?: "light" | "dark";
}

/** Opens a window on the console at `url`. */
export async function openWindow(
  browser: Browser,
  url: string,
  options: WindowOptions = {},
): Promise<Window> {
  const context = await browser.newContext({
    baseURL: url,
    viewport: { width: options.width ?? 1280, height: options.height ?? 800 },
    colorScheme: options.theme ?? "light",
    reducedMotion: "reduce",
    locale: "en-GB",
  });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    const text = message.text();
    if (message.type() === "error" && /Content Security Policy|Refused to/i.test(text)) faults.push(text);
  });
  return { context, page, faults };
}

/** Keeps a screenshot of the page as `artifacts/<name>.png`. */
export async function keepScreenshot(page: Page, name: string): Promise<void> {
  mkdirSync(ARTIFACTS, { recursive: true });
  await page.screenshot({ path: path.join(ARTIFACTS, `${name}.png`), animations: "disabled" });
}

/** Makes an account by the forms of the console, and stays signed in. */
export async function signUp(
  page: Page,
  name: string,
): Promise<{ readonly email: string; readonly password: string }> {
  const account = {
    email: `c${randomBytes(6).toString("hex")}@example.com`,
    password: "correct horse battery",
  };
  await page.goto("/sign-up");
  await page.getByLabel("Your name").fill(name);
  await page.getByLabel("E-mail").fill(account.email);
  await page.getByLabel("Password").fill(account.password);
  await page.getByRole("button", { name: "Make the account" }).click();
  await page.getByRole("heading", { name: "Projects", level: 1 }).waitFor();
  return account;
}

/** Signs in by the form, on the way to an address of the console. */
export async function signIn(
  page: Page,
  { email, password }: { readonly email: string; readonly password: string },
  address: string,
): Promise<void> {
  await page.goto(`/sign-in?${new URLSearchParams({ back: address }).toString()}`);
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.locator(".topbar").waitFor();
}
