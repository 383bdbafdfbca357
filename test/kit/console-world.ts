import { type AddressInfo, createServer } from "node:net";
import type { Browser, Page } from "playwright-core";
import type { Person } from "./api.js";
import type { TestNode } from "./app.js";
import { openWindow, signIn, type Window, type WindowOptions } from "./browser.js";

/** A project of Ada's with Bob in it, one workspace, one file. */
export interface Desk {
  readonly ada: Person;
  readonly bob: Person;
  readonly projectId: string;
  readonly workspaceId: string;
  /** Address of the file in the console. */
  readonly address: string;
}

/** Makes the project over the API. */
export async function makeDesk(
  node: TestNode,
  options: { readonly path?: string; readonly text?: string; readonly role?: "collaborator" | "viewer" } = {},
): Promise<Desk> {
  const { api } = node;
  const [ada, bob] = [await api.person("Ada Lovelace"), await api.person("Bob Kahn")];
  const projectId = await api.project(ada, [[bob, options.role ?? "collaborator"]]);
  const { body } = await api.post(`/projects/${projectId}/workspaces`, { name: "Development" }, ada.token);
  const workspaceId = body.workspace.id as string;
  const path = options.path ?? "src/main.js";
  await writeFile(node, ada, workspaceId, path, options.text ?? "one\n");
  return { ada, bob, projectId, workspaceId, address: addressOf(workspaceId, path) };
}

/** Puts a text file into a workspace over the API. */
export async function writeFile(
  node: TestNode,
  { token }: Person,
  workspaceId: string,
  path: string,
  text: string,
): Promise<void> {
  const answer = await node.api.request("PUT", `/workspaces/${workspaceId}/files/${path}`, {
    token,
    raw: text,
    headers: { "content-type": "text/plain; charset=utf-8" },
  });
  if (answer.status >= 300) throw new Error(`unexpected ${answer.status}`);
}

/** Address of a file in the console. */
export function addressOf(workspaceId: string, path: string): string {
  return `/workspaces/${workspaceId}?file=${encodeURIComponent(path)}`;
}

/** A window in which this person is signed in, at this address. */
export async function windowOf(
  browser: Browser,
  url: string,
  person: Person,
  address: string,
  options: WindowOptions = {},
): Promise<Window> {
  const window = await openWindow(browser, url, options);
  await signIn(window.page, person, address);
  return window;
}

/** The text in the editor. */
export function editorText(page: Page): Promise<string> {
  return page.locator(".cm-content").evaluate((content: any) =>
    [...content.querySelectorAll(".cm-line")]
      .map((line) => {
        const copy = line.cloneNode(true);
        for (const caret of copy.querySelectorAll(".remote-caret")) caret.remove();
        return copy.textContent;
      })
      .join("\n"),
  );
}

/** Waits until the editor says that everything is kept. */
export async function untilSaved(page: Page): Promise<void> {
  await page.locator('.save-state[data-state="saved"]').waitFor();
}

/** Types at the beginning of the editor, or where its cursor is. */
export async function typeInto(page: Page, text: string): Promise<void> {
  await page.locator(".cm-content").focus();
  await page.keyboard.type(text);
}

/** A port nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Waits until what was typed without a connection is kept in the browser. */
export async function untilDraft(page: Page): Promise<void> {
  await page.waitForFunction(`new Promise((resolve) => {
    const request = indexedDB.open("atelier-drafts", 1);
    request.onerror = () => resolve(false);
    request.onsuccess = () => {
      const count = request.result.transaction("drafts").objectStore("drafts").count();
      count.onsuccess = () => resolve(count.result > 0);
    };
  })`);
}
