import type { Auth } from "../auth/auth.js";
import type { RequestContext } from "../http/route.js";
import { FILES, PEOPLE, PROJECT } from "./content.js";

/** Offers a project to try the service with; nothing is made before somebody takes the offer. */
export interface Demo {
  /** True while there is nobody, or the demo was taken up before: its people have no passwords, and need new links. */
  isDue(): Promise<boolean>;
  /** New links that sign in as each of its people, once. */
  links(): readonly { readonly name: string; readonly url: string }[];
}

type Person = keyof typeof PEOPLE;

const CONTEXT: RequestContext = {
  requestId: "demo",
  ip: "127.0.0.1",
  userAgent: "Atelier demo",
  lastEventId: undefined,
};

/**
 * The demo over the service's own API.
 *
 * @param api base of the API on this machine, such as `http://127.0.0.1:3000/api/v1`.
 * @param publicUrl base of the links, without a trailing slash.
 */
export function createDemo(deps: {
  readonly trial: Auth["trial"];
  readonly exists: (email: string) => Promise<boolean>;
  readonly api: string;
  readonly publicUrl: string;
}): Demo {
  const { trial, publicUrl } = deps;
  let making: Promise<Readonly<Record<Person, string>>> | undefined;

  /** Both accounts, and what they share; made once, also when both links are opened at the same moment. */
  async function people(): Promise<Readonly<Record<Person, string>>> {
    making ??= make();
    try {
      return await making;
    } catch (error) {
      making = undefined;
      throw error;
    }
  }

  async function make(): Promise<Readonly<Record<Person, string>>> {
    const [ada, bob] = [await trial.provision(PEOPLE.ada), await trial.provision(PEOPLE.bob)];
    const { tokens } = await trial.enter(ada, CONTEXT);
    const call = caller(deps.api, tokens.accessToken);
    const { projects } = await call<{ projects: readonly unknown[] }>("GET", "/projects?limit=1");
    if (projects.length === 0) await fill(call);
    await call("POST", "/auth/logout", {});
    return { ada, bob };
  }

  return {
    isDue: async () => (await trial.isEmpty()) || (await deps.exists(PEOPLE.ada.email)),
    links: () =>
      (Object.keys(PEOPLE) as Person[]).map((person) => {
        const token = trial.issue(async () => (await people())[person]);
        return { name: PEOPLE[person].name, url: `${publicUrl}/sign-in-link#token=${token}` };
      }),
  };
}

async function fill(call: Call): Promise<void> {
  const { project } = await call<{ project: { id: string } }>("POST", "/projects", PROJECT);
  const member = { email: PEOPLE.bob.email, role: "collaborator" };
  await call("POST", `/projects/${project.id}/members`, member);
  const { workspace } = await call<{ workspace: { id: string } }>(
    "POST",
    `/projects/${project.id}/workspaces`,
    { name: "Development" },
  );
  for (const [path, content] of Object.entries(FILES))
    await call("PUT", `/workspaces/${workspace.id}/files/${path}`, content);
}

type Call = <Reply>(method: string, path: string, body?: object | string) => Promise<Reply>;

/** Calls the API as one account; a string goes as text. */
function caller(api: string, token: string): Call {
  return async (method, path, body) => {
    const type = typeof body === "string" ? "text/plain; charset=utf-8" : "application/json";
    const response = await fetch(`${api}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { "content-type": type }),
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok)
      throw new Error(`the demo could not be made: ${method} ${path} answered ${response.status}`);
    return (text === "" ? undefined : JSON.parse(text)) as never;
  };
}
