import type { Readable } from "node:stream";
import { AppError } from "../../errors.js";
import type { JobContext } from "../job-type.js";
import type { DataSource } from "./payload.js";

/** Reads files of workspaces and of jobs for somebody who may; @throws AppError `not_found`, `forbidden`. */
export interface DataFiles {
  workspaceFile(actor: string, workspaceId: string, path: string): Promise<Uint8Array | Readable>;
  artifact(actor: string, jobId: string, name: string): Promise<Readable>;
}

/** Why a source cannot be read, as the job's result says it. */
export class SourceMissing extends Error {
  constructor(
    readonly table: string,
    message: string,
  ) {
    super(message);
    this.name = "SourceMissing";
  }
}

/** The content of a source, read as the job's owner, whose rights are asked now. */
export async function openSource(
  files: DataFiles,
  context: Pick<JobContext, "ownerId" | "workspaceId">,
  table: string,
  source: DataSource,
): Promise<Uint8Array | Readable> {
  if (source.text !== undefined) return Buffer.from(source.text);
  if (source.base64 !== undefined) return Buffer.from(source.base64, "base64");
  try {
    if (source.artifact !== undefined)
      return await files.artifact(context.ownerId, source.artifact.jobId, source.artifact.name);
    if (context.workspaceId === null) throw new AppError("not_found");
    return await files.workspaceFile(context.ownerId, context.workspaceId, source.file ?? "");
  } catch (error) {
    if (!(error instanceof AppError) || (error.code !== "not_found" && error.code !== "forbidden"))
      throw error;
    throw new SourceMissing(table, source.artifact ? "There is no such artifact." : "There is no such file.");
  }
}
