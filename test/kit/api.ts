import { randomBytes } from "node:crypto";

/** An answer of the API. */
export interface Answer<Body = Record<string, any>> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Body;
}

/** Somebody who is signed in. */
export interface Person {
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly password: string;
  readonly token: string;
  readonly refreshToken: string;
}

/** The API as a client sees it. */
export interface Api {
  request(method: string, path: string, options?: RequestOptions): Promise<Answer>;
  get(path: string, token?: string): Promise<Answer>;
  post(path: string, body: unknown, token?: string, headers?: Record<string, string>): Promise<Answer>;
  /** Registers an account with an address nobody has. */
  person(name?: string): Promise<Person>;
  /** A project of `owner` with these members. */
  project(
    owner: Person,
    members?: readonly (readonly [Person, "owner" | "collaborator" | "viewer"])[],
  ): Promise<string>;
}

/** What a request may carry; `raw` goes out as it is. */
export interface RequestOptions {
  readonly token?: string | undefined;
  readonly body?: unknown;
  readonly raw?: string | Uint8Array;
  readonly headers?: Record<string, string>;
}

/** A client of the API at `base`, that sends these headers with every request. */
export function createApi(base: string, always: Record<string, string> = {}): Api {
  async function request(
    method: string,
    path: string,
    { token, body, raw, headers = {} }: RequestOptions = {},
  ): Promise<Answer> {
    const content = raw ?? (body === undefined ? undefined : JSON.stringify(body));
    const response = await fetch(`${base}${path}`, {
      method,
      headers: {
        ...(content === undefined ? {} : { "content-type": "application/json" }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...always,
        ...headers,
      },
      ...(content === undefined ? {} : { body: content }),
      redirect: "manual",
    });
    const text = await response.text();
    let parsed: unknown = text;
    try {
      parsed = text === "" ? undefined : JSON.parse(text);
    } catch {
      // not JSON: handed on as text
    }
    return { status: response.status, headers: response.headers, body: parsed as Record<string, any> };
  }
  const post: Api["post"] = (path, body, token, headers) =>
    request("POST", path, { body, token, ...(headers ? { headers } : {}) });
  async function ok(answer: Promise<Answer>): Promise<Record<string, any>> {
    const { status, body } = await answer;
    if (status >= 300) throw new Error(`unexpected ${status}: ${JSON.stringify(body)}`);
    return body;
  }
  return {
    request,
    get: (path, token) => request("GET", path, { token }),
    post,
    async person(name = "Ada Lovelace") {
      const email = `p${randomBytes(6).toString("hex")}@example.com`;
      const password = `correct horse ${randomBytes(4).toString("hex")}`;
      const { user, tokens } = await ok(post("/auth/register", { email, password, name }));
      return {
        id: user.id,
        name,
        email,
        password,
        token: tokens.accessToken,
        refreshToken: tokens.refreshToken,
      };
    },
    async project(owner, members = []) {
      const { project } = await ok(post("/projects", { name: "Engine" }, owner.token));
      for (const [member, role] of members)
        await ok(post(`/projects/${project.id}/members`, { email: member.email, role }, owner.token));
      return project.id as string;
    },
  };
}
