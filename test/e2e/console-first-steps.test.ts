import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { Browser, Page } from "playwright-core";
import { startTestNode, type TestNode } from "../kit/app.js";
import { CHROMIUM, launchBrowser, openWindow, signUp } from "../kit/browser.js";

const suite = CHROMIUM ? describe : describe.skip;

suite("the console's first steps (needs Chromium)", () => {
  let node: TestNode;
  let browser: Browser;
  beforeAll(async () => {
    node = await startTestNode();
    browser = await launchBrowser();
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await node?.stop();
  });

  it("[CON10] from an account to a file in a workspace, by what the pages themselves say to do next", async () => {
    const { page, faults, context } = await openWindow(browser, node.httpUrl);
    await signUp(page, "Ada Lovelace");
    await page.getByText("Make your first project").waitFor();
    await page.getByRole("button", { name: "New project" }).first().click();
    await page.getByLabel("Name").fill("Weather station");
    await page.getByRole("button", { name: "Create the project" }).click();
    await page.getByRole("link", { name: "Make a workspace" }).click();
    await page.getByRole("button", { name: "New workspace" }).first().click();
    await page.getByLabel("Name").fill("Development");
    await page.getByRole("button", { name: "Create and open" }).click();
    await page.getByText("Begin with a file").waitFor();
    await page.getByRole("button", { name: "New file" }).click();
    await page.getByLabel("Name").fill("src/index.js");
    await page.getByRole("button", { name: "Create" }).click();
    await page.getByRole("tab", { name: "index.js" }).waitFor();
    await page.locator(".cm-content").waitFor();
    expect(faults).toEqual([]);
    await context.close();
  }, 60_000);

  it("[CON11] wrong input is said beside its field, a wrong password in the form, and nothing entered is lost", async () => {
    const { page, context } = await openWindow(browser, node.httpUrl);
    const account = await signUp(page, "Grace Hopper");
    await signOut(page);
    await page.getByLabel("E-mail").fill(account.email);
    await page.getByLabel("Password").fill("not the password");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").getByText("E-mail or password is wrong.").waitFor();
    expect(await page.getByLabel("E-mail").inputValue()).toBe(account.email);

    await page.goto("/sign-up");
    await page.getByLabel("Your name").fill("Grace");
    await page.getByLabel("E-mail").fill(account.email);
    await page.getByLabel("Password").fill("password");
    await page.getByRole("button", { name: "Make the account" }).click();
    const field = page.getByLabel("Password");
    await page.locator(".field-error").waitFor();
    expect(await field.getAttribute("aria-invalid")).toBe("true");
    expect(await field.inputValue()).toBe("password");
    await context.close();
  }, 60_000);

  it("[CON12] who is not signed in comes back to the page they wanted; who signs out elsewhere is told why", async () => {
    const { page, context } = await openWindow(browser, node.httpUrl);
    const account = await signUp(page, "Ada Lovelace");
    const second = await openWindow(browser, node.httpUrl);
    await second.page.goto("/account/devices");
    await second.page.getByRole("heading", { name: "Sign in" }).waitFor();
    await second.page.getByLabel("E-mail").fill(account.email);
    await second.page.getByLabel("Password").fill(account.password);
    await second.page.getByRole("button", { name: "Sign in" }).click();
    await second.page.getByRole("heading", { name: "Devices" }).waitFor();
    await second.page.getByText("This device").waitFor();
    await second.page.getByRole("button", { name: "Sign out all others" }).click();
    await second.page.getByRole("button", { name: "Sign them out" }).click();
    await second.page.getByText("Every other device was signed out.").waitFor();
    await page.reload();
    await page.getByText("This device was signed out.").waitFor();
    await context.close();
    await second.context.close();
  }, 60_000);
});

async function signOut(page: Page): Promise<void> {
  await page.getByRole("button", { name: /^Account of/ }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
}
