/** One line of a project's activity log. */
export interface ActivityEntry {
  /** Id of the event it was made from (UUID); appending the same id twice keeps one entry. */
  readonly id: string;
  readonly projectId: string;
  /** Who did it; null for the system. */
  readonly userId: string | null;
  /** Event type, for example `member_added`. */
  readonly type: string;
  /** The event's payload: JSON, at most 16 KiB. */
  readonly payload: Readonly<Record<string, unknown>>;
  /** Milliseconds since the Unix epoch. */
  readonly createdAt: number;
}

/** Which entries of one project, newest first. */
export interface ActivityQuery {
  readonly projectId: string;
  readonly type?: string;
  readonly userId?: string;
  /** Inclusive lower and exclusive upper bound of `createdAt` in ms. */
  readonly since?: number;
  readonly until?: number;
  /** Only entries older than this position (`createdAt`, then `id`, both descending). */
  readonly before?: { readonly createdAt: number; readonly id: string };
  readonly limit: number;
}

/** The activity log. Rejects with `dependency_unavailable` when the store is away. */
export interface ActivityStore {
  /** Keeps each entry once, by id; safe to repeat after a failure. */
  append(entries: readonly ActivityEntry[]): Promise<void>;
  list(query: ActivityQuery): Promise<readonly ActivityEntry[]>;
  /** Forgets a project's entries (after the project was deleted). */
  deleteProject(projectId: string): Promise<void>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
