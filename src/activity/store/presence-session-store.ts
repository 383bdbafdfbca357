/** The record of one socket connection, kept for 30 days after it ended. */
export interface ConnectionSession {
  readonly id: string;
  readonly projectId: string;
  readonly userId: string;
  readonly nodeId: string;
  /** Milliseconds since the Unix epoch. */
  readonly connectedAt: number;
  /** Null while connected, or when the node died without saying. */
  readonly disconnectedAt: number | null;
  /** WebSocket close code, when known. */
  readonly closeCode: number | null;
}

/** Keeps who was connected when. Writes are idempotent by id. Rejects with `dependency_unavailable` when away. */
export interface PresenceSessionStore {
  opened(sessions: readonly ConnectionSession[]): Promise<void>;
  closed(
    sessions: readonly { readonly id: string; readonly disconnectedAt: number; readonly closeCode: number }[],
  ): Promise<void>;
  /** Newest first by `connectedAt`, then `id`. */
  listByProject(projectId: string, limit: number): Promise<readonly ConnectionSession[]>;
  close(): Promise<void>;
}
