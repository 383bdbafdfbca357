import { randomBytes } from "node:crypto";
import { type Answer, type Api, createApi, type Person } from "./api.js";
import type { DocumentedOperation } from "./openapi-document.js";
import { zipOf } from "./zip.js";

/** Ids of one of each thing somebody owns. */
export interface OwnedIds {
  readonly projectId: string;
  readonly workspaceId: string;
  readonly jobId: string;
  readonly scheduleId: string;
  readonly invitationId: string;
  /** A member of the project besides its owner. */
  readonly userId: string;
  /** A session of the owner; not the one its token is of. */
  readonly id: string;
  /** An artifact of the job. */
  readonly name: string;
  /** A text file of the workspace. */
  readonly path: string;
  /** A version of it. */
  readonly versionId: string;
}

/** Somebody with one of each thing, and a stranger with the same. */
export interface World {
  readonly api: Api;
  readonly ada: Person;
  readonly own: OwnedIds;
  readonly eve: Person;
  readonly foreign: OwnedIds;
  /** The token in the last mail of a kind to an address, once it has come. */
  mailToken(email: string, page: "verify-email" | "reset-password"): Promise<string>;
  /** The token of a link that signs in as this account. */
  signInToken(userId: string): string;
}

/** A request that does what its operation is for. */
export interface OperationCall {
  readonly as?: Person;
  readonly params?: Readonly<Partial<OwnedIds>>;
  readonly query?: string;
  readonly body?: unknown;
  /** Plain text as the body, in place of JSON. */
  readonly text?: string;
  /** A zip as the body, in place of JSON. */
  readonly zip?: Uint8Array;
  /** Where in the body any JSON may stand, as pointers. */
  readonly free?: readonly string[];
}

const PLAIN = { "content-type": "text/plain; charset=utf-8" };
const FREE_SETTINGS = ["/settings"];

const newJob = { type: "code_execution", payload: { language: "javascript", code: "console.log(1)" } };
const newEmail = () => `q${randomBytes(6).toString("hex")}@example.com`;

/** One valid request per documented operation, each good for one call; a new operation needs a row here. */
export const CALLS: Readonly<Record<string, (world: World) => OperationCall | Promise<OperationCall>>> = {
  getHealth: () => ({}),
  getLiveness: () => ({}),
  getReadiness: () => ({}),
  getMetrics: () => ({}),
  getOpenApi: () => ({}),
  getAsyncApi: () => ({}),

  register: () => ({ body: { email: newEmail(), password: "correct horse battery", name: "Grace Hopper" } }),
  login: ({ ada }) => ({ body: { email: ada.email, password: ada.password } }),
  signInByLink: ({ ada, signInToken }) => ({ body: { token: signInToken(ada.id) } }),
  refresh: async ({ api }) => ({ body: { refreshToken: (await api.person()).refreshToken } }),
  getMe: ({ ada }) => ({ as: ada }),
  updateMe: ({ ada }) => ({ as: ada, body: { name: "Ada King" } }),
  changePassword: async ({ api }) => {
    const as = await api.person();
    return { as, body: { currentPassword: as.password, newPassword: "another horse battery" } };
  },
  logout: async ({ api }) => {
    const as = await api.person();
    return { as, body: { refreshToken: as.refreshToken } };
  },
  logoutAll: async ({ api }) => ({ as: await api.person(), body: { keepCurrent: true } }),
  listSessions: ({ ada }) => ({ as: ada }),
  endSession: async ({ api, ada }) => ({ as: ada, params: { id: await newSession(api, ada) } }),
  createTicket: ({ ada }) => ({ as: ada }),
  forgotPassword: ({ ada }) => ({ body: { email: ada.email } }),
  resetPassword: async ({ api, mailToken }) => {
    const { email } = await api.person();
    await api.post("/auth/password/forgot", { email });
    return { body: { token: await mailToken(email, "reset-password"), password: "another horse battery" } };
  },
  verifyEmail: async ({ api, mailToken }) => ({
    body: { token: await mailToken((await api.person()).email, "verify-email") },
  }),
  resendVerification: async ({ api }) => ({ as: await api.person() }),

  createProject: ({ ada }) => ({ as: ada, body: { name: "Engine", description: "Analytical" } }),
  listProjects: ({ ada }) => ({ as: ada, query: "?limit=2" }),
  getProject: ({ ada, own }) => ({ as: ada, params: own }),
  replaceProject: ({ ada, own }) => ({
    as: ada,
    params: own,
    body: { name: "Engine", description: "Of Babbage" },
  }),
  updateProject: ({ ada, own }) => ({
    as: ada,
    params: own,
    body: { name: "Engine", description: "Difference" },
  }),
  deleteProject: async ({ api, ada }) => ({ as: ada, params: { projectId: await api.project(ada) } }),
  listMembers: ({ ada, own }) => ({ as: ada, params: own, query: "?limit=1" }),
  inviteMember: ({ ada, own }) => ({ as: ada, params: own, body: { email: newEmail(), role: "viewer" } }),
  setMemberRole: ({ ada, own }) => ({ as: ada, params: own, body: { role: "collaborator" } }),
  updateMember: ({ ada, own }) => ({ as: ada, params: own, body: { role: "viewer" } }),
  removeMember: async ({ api, ada }) => {
    const member = await api.person();
    return {
      as: ada,
      params: { projectId: await api.project(ada, [[member, "viewer"]]), userId: member.id },
    };
  },
  listInvitations: ({ ada, own }) => ({ as: ada, params: own }),
  revokeInvitation: async ({ api, ada, own }) => {
    const { id } = await newInvitation(api, ada, own.projectId, newEmail());
    return { as: ada, params: { projectId: own.projectId, invitationId: id } };
  },
  resendInvitation: ({ ada, own }) => ({ as: ada, params: own }),
  acceptInvitation: async ({ api, ada }) => {
    const email = newEmail();
    const { link } = await newInvitation(api, ada, await api.project(ada), email);
    const password = "correct horse battery";
    const { body } = await api.post("/auth/register", { email, password, name: "Invited" });
    const as = {
      id: body.user.id,
      name: "Invited",
      email,
      password,
      token: body.tokens.accessToken,
      refreshToken: "",
    };
    return { as, body: { token: link.split("#token=")[1] } };
  },

  createWorkspace: ({ ada, own }) => ({
    as: ada,
    params: own,
    body: { name: "Development", settings: { theme: "dark", panes: [{ width: 1 }] } },
    free: FREE_SETTINGS,
  }),
  listWorkspaces: ({ ada, own }) => ({ as: ada, params: own }),
  getWorkspace: ({ ada, own }) => ({ as: ada, params: own }),
  replaceWorkspace: ({ ada, own }) => ({
    as: ada,
    params: own,
    body: { name: "Development", settings: { theme: "light" } },
    free: FREE_SETTINGS,
  }),
  updateWorkspace: ({ ada, own }) => ({
    as: ada,
    params: own,
    body: { name: "Production", settings: {} },
    free: FREE_SETTINGS,
  }),
  deleteWorkspace: async ({ api, ada, own }) => ({
    as: ada,
    params: { workspaceId: await newWorkspace(api, ada, own.projectId) },
  }),

  listFiles: ({ ada, own }) => ({ as: ada, params: own, query: "?limit=1" }),
  readFile: ({ ada, own }) => ({ as: ada, params: own }),
  writeFile: ({ ada, own }) => ({ as: ada, params: own, text: "console.log(2);\n" }),
  deleteFile: async ({ api, ada, own: { workspaceId } }) => {
    await newFile(api, ada, workspaceId, "gone.txt");
    return { as: ada, params: { workspaceId, path: "gone.txt" } };
  },
  moveFiles: async ({ api, ada, own: { workspaceId } }) => {
    const name = randomBytes(6).toString("hex");
    await newFile(api, ada, workspaceId, `${name}/a.txt`);
    return { as: ada, params: { workspaceId }, body: { from: name, to: `moved-${name}` } };
  },

  listVersions: ({ ada, own }) => ({ as: ada, params: own, query: `?path=${own.path}&limit=1` }),
  saveVersion: ({ ada, own }) => ({ as: ada, params: own, body: { path: own.path, label: "First" } }),
  readVersion: ({ ada, own }) => ({ as: ada, params: own }),
  diffVersion: ({ ada, own }) => ({ as: ada, params: own, query: "?against=previous" }),
  restoreVersion: ({ ada, own }) => ({ as: ada, params: own }),
  exportArchive: ({ ada, own }) => ({ as: ada, params: own }),
  importArchive: ({ ada, own }) => ({
    as: ada,
    params: own,
    zip: zipOf([{ name: "imported.txt", data: "imported" }]),
  }),

  listActivity: ({ ada, own }) => ({
    as: ada,
    params: own,
    query: "?type=project_created&since=2020-01-01T00:00:00Z&limit=1",
  }),
  listPresence: ({ ada, own }) => ({ as: ada, params: own }),
  listLimits: ({ ada }) => ({ as: ada }),

  createJob: ({ ada, own: { projectId, workspaceId } }) => ({
    as: ada,
    body: {
      type: "code_execution",
      payload: {
        language: "javascript",
        code: "console.log(1)",
        stdin: "",
        args: ["a"],
        limits: { cpuMs: 1_000 },
      },
      projectId,
      workspaceId,
      options: { priority: 1, delayMs: 86_400_000, maxAttempts: 1 },
    },
  }),
  listJobs: ({ ada, own }) => ({ as: ada, query: `?projectId=${own.projectId}&status=pending` }),
  getJob: ({ ada, own }) => ({ as: ada, params: own }),
  getJobLogs: ({ ada, own }) => ({ as: ada, params: own, query: "?after=0&limit=10" }),
  followJob: ({ ada, own }) => ({ as: ada, params: own }),
  cancelJob: async ({ api, ada }) => ({ as: ada, params: { jobId: await newDelayedJob(api, ada) } }),
  retryJob: async ({ api, ada }) => {
    const jobId = await newDelayedJob(api, ada);
    await api.post(`/jobs/${jobId}/cancel`, undefined, ada.token);
    return { as: ada, params: { jobId } };
  },
  getJobArtifact: async ({ api, ada, own }) => {
    // The new lines make the result larger, as JSON, than a row keeps.
    const code = 'console.log("\\n".repeat(200000))';
    const job = { ...newJob, payload: { language: "javascript", code } };
    const { id } = (await made(api.post("/jobs", job, ada.token))).job;
    for (;;) {
      const { artifacts } = (await made(api.get(`/jobs/${id}`, ada.token))).job;
      if (artifacts.length > 0) return { as: ada, params: { jobId: id, name: own.name } };
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  },
  listJobSchedules: ({ ada, own }) => ({ as: ada, query: `?projectId=${own.projectId}&limit=1` }),
  endJobSchedule: async ({ api, ada, own }) => ({
    as: ada,
    params: { scheduleId: await newSchedule(api, ada, own.projectId) },
  }),
  listLanguages: ({ ada }) => ({ as: ada }),
};

/** The request of a call; `over` replaces parts of it. */
export function send(
  httpUrl: string,
  operation: DocumentedOperation,
  call: OperationCall,
  over: { readonly raw?: string | Uint8Array; readonly headers?: Record<string, string> } = {},
): Promise<Answer> {
  const path = operation.path.replaceAll(
    /\{(\w+)\}/g,
    (_all, name: string) => call.params?.[name as keyof OwnedIds] ?? "",
  );
  return createApi(`${httpUrl}${operation.base}`).request(operation.method, `${path}${call.query ?? ""}`, {
    token: call.as?.token,
    ...(call.body === undefined ? {} : { body: call.body }),
    ...(call.text === undefined ? {} : { raw: call.text, headers: PLAIN }),
    ...(call.zip === undefined ? {} : { raw: call.zip, headers: { "content-type": "application/zip" } }),
    ...over,
  });
}

/** Makes a world on a running node, whose mails are written to what `output` gives. */
export async function createWorld(
  api: Api,
  output: () => string,
  signInToken: (userId: string) => string,
): Promise<World> {
  const [ada, eve] = [await api.person("Ada Lovelace"), await api.person("Eve")];
  return {
    api,
    ada,
    own: await ownedBy(api, ada),
    eve,
    foreign: await ownedBy(api, eve),
    signInToken,
    async mailToken(email, page) {
      const form = new RegExp(`Mail to ${email}[\\s\\S]*?/${page}#token=(\\S+)`);
      for (;;) {
        const token = form.exec(output())?.[1];
        if (token !== undefined) return token;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
  };
}

async function ownedBy(api: Api, owner: Person): Promise<OwnedIds> {
  const member = await api.person();
  const projectId = await api.project(owner, [[member, "collaborator"]]);
  const workspaceId = await newWorkspace(api, owner, projectId);
  const path = "src/index.js";
  await newFile(api, owner, workspaceId, path);
  const saved = made(api.post(`/workspaces/${workspaceId}/versions`, { path }, owner.token));
  return {
    projectId,
    workspaceId,
    path,
    versionId: (await saved).version.id,
    name: "result.json",
    jobId: (await made(api.post("/jobs", { ...newJob, projectId }, owner.token))).job.id,
    scheduleId: await newSchedule(api, owner, projectId),
    invitationId: (await newInvitation(api, owner, projectId, newEmail())).id,
    userId: member.id,
    id: await newSession(api, owner),
  };
}

async function made(answer: Promise<Answer>): Promise<Record<string, any>> {
  const { status, body } = await answer;
  if (status >= 300) throw new Error(`unexpected ${status}: ${JSON.stringify(body)}`);
  return body;
}

async function newWorkspace(api: Api, { token }: Person, projectId: string): Promise<string> {
  return (await made(api.post(`/projects/${projectId}/workspaces`, { name: "Space", settings: {} }, token)))
    .workspace.id;
}

async function newFile(api: Api, { token }: Person, workspaceId: string, path: string): Promise<void> {
  await made(
    api.request("PUT", `/workspaces/${workspaceId}/files/${path}`, { token, raw: "text", headers: PLAIN }),
  );
}

async function newInvitation(api: Api, { token }: Person, projectId: string, email: string) {
  const body = { email, role: "viewer" };
  const { invitation } = await made(api.post(`/projects/${projectId}/members`, body, token));
  return invitation as { id: string; link: string };
}

async function newSession(api: Api, { email, password, token }: Person): Promise<string> {
  await made(api.post("/auth/login", { email, password }));
  const { sessions } = await made(api.get("/auth/sessions", token));
  return sessions.find((session: { current: boolean }) => !session.current).id;
}

async function newSchedule(api: Api, { token }: Person, projectId: string): Promise<string> {
  const options = { cron: "0 0 1 1 *", timeZone: "Europe/Zurich" };
  return (await made(api.post("/jobs", { ...newJob, projectId, options }, token))).job.scheduleId;
}

async function newDelayedJob(api: Api, { token }: Person): Promise<string> {
  const options = { delayMs: 86_400_000 };
  return (await made(api.post("/jobs", { ...newJob, options }, token))).job.id;
}
