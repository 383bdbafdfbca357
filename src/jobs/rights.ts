import { AppError } from "../errors.js";
import type { Tx } from "../platform/database/database.js";
import type { Access } from "../projects/access.js";
import type { Accounts } from "../projects/accounts.js";

/** Whether the owner of a job may still run it; asked again at every start, because roles change while jobs wait. */
export type MayRun = (
  tx: Tx,
  job: { readonly ownerId: string; readonly projectId: string | null },
) => Promise<boolean>;

/** The rights of accounts and of members. */
export function createMayRun(deps: {
  access: Pick<Access, "requireForWrite">;
  accounts: Pick<Accounts, "findById">;
}): MayRun {
  return async (tx, { ownerId, projectId }) => {
    const account = await deps.accounts.findById(tx, ownerId);
    if (!account || account.disabled) return false;
    if (projectId === null) return true;
    try {
      await deps.access.requireForWrite(tx, ownerId, projectId, "job.run");
      return true;
    } catch (error) {
      if (error instanceof AppError && (error.code === "not_found" || error.code === "forbidden"))
        return false;
      throw error;
    }
  };
}
