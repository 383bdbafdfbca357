import type { Caller, CallOptions } from "./caller.js";
import type { Operations, Workspace, File as WorkspaceFile } from "./generated/api.js";
import { type Pages, pagesOf } from "./pages.js";
import type { RawContent, RawReply } from "./raw.js";

/** Workspaces of projects. */
export interface Workspaces {
  create(
    projectId: string,
    input: Operations["createWorkspace"]["body"],
    options?: CallOptions,
  ): Promise<Workspace>;
  list(
    projectId: string,
    query?: Operations["listWorkspaces"]["query"],
    options?: CallOptions,
  ): Pages<Workspace>;
  get(workspaceId: string, options?: CallOptions): Promise<Workspace>;
  /** Changes what is given. */
  update(
    workspaceId: string,
    input: Operations["updateWorkspace"]["body"],
    options?: CallOptions,
  ): Promise<Workspace>;
  delete(workspaceId: string, options?: CallOptions): Promise<void>;
}

/** Files of workspaces. Text files are live documents: what is written here appears in open editors. */
export interface Files {
  /** By path. */
  list(
    workspaceId: string,
    query?: Operations["listFiles"]["query"],
    options?: CallOptions,
  ): Pages<WorkspaceFile>;
  /** The content as text. */
  read(workspaceId: string, path: string, options?: CallOptions): Promise<string>;
  /** The content with its media type and version. */
  readRaw(workspaceId: string, path: string, options?: CallOptions): Promise<RawReply>;
  /** Makes the file or replaces its content. @throws AtelierError `payload_too_large`, `version_mismatch`. */
  write(
    workspaceId: string,
    path: string,
    content: RawContent,
    options?: CallOptions & { readonly contentType?: string },
  ): Promise<WorkspaceFile>;
  delete(workspaceId: string, path: string, options?: CallOptions): Promise<void>;
  /** Moves a file, or a folder with all below it; answers what moved. */
  move(
    workspaceId: string,
    from: string,
    to: string,
    options?: CallOptions,
  ): Promise<readonly WorkspaceFile[]>;
}

/** Workspaces over the API. */
export function createWorkspaces(caller: Caller): Workspaces {
  return {
    create: async (projectId, body, options) =>
      (await caller.call("createWorkspace", { params: { projectId }, body, ...options })).workspace,
    list: (projectId, query, options) =>
      pagesOf(query?.cursor, async (cursor) => {
        const { workspaces, nextCursor } = await caller.call("listWorkspaces", {
          params: { projectId },
          query: { ...query, cursor },
          ...options,
        });
        return { items: workspaces, nextCursor };
      }),
    get: async (workspaceId, options) =>
      (await caller.call("getWorkspace", { params: { workspaceId }, ...options })).workspace,
    update: async (workspaceId, body, options) =>
      (await caller.call("updateWorkspace", { params: { workspaceId }, body, ...options })).workspace,
    delete: (workspaceId, options) => caller.call("deleteWorkspace", { params: { workspaceId }, ...options }),
  };
}

/** Files over the API. */
export function createFiles(caller: Caller): Files {
  const readRaw: Files["readRaw"] = (workspaceId, path, options) =>
    caller.call("readFile", { params: { workspaceId, path }, ...options });
  return {
    list: (workspaceId, query, options) =>
      pagesOf(query?.cursor, async (cursor) => {
        const { files, nextCursor } = await caller.call("listFiles", {
          params: { workspaceId },
          query: { ...query, cursor },
          ...options,
        });
        return { items: files, nextCursor };
      }),
    read: async (workspaceId, path, options) => (await readRaw(workspaceId, path, options)).text(),
    readRaw,
    write: async (workspaceId, path, content, options = {}) => {
      const given = content instanceof Blob && content.type !== "" ? content.type : undefined;
      const usual = typeof content === "string" ? "text/plain; charset=utf-8" : "application/octet-stream";
      const { file } = await caller.call("writeFile", {
        params: { workspaceId, path },
        body: content,
        ...options,
        contentType: options.contentType ?? given ?? usual,
      });
      return file;
    },
    delete: (workspaceId, path, options) =>
      caller.call("deleteFile", { params: { workspaceId, path }, ...options }),
    move: async (workspaceId, from, to, options) =>
      (await caller.call("moveFiles", { params: { workspaceId }, body: { from, to }, ...options })).files,
  };
}
