/** One live connection of a user to a project. */
export interface PresenceEntry {
  readonly sessionId: string;
  readonly userId: string;
  readonly nodeId: string;
  /** Display name at the time of connecting. */
  readonly name: string;
  /** Milliseconds since the Unix epoch. */
  readonly connectedAt: number;
}

/**
 * Who is connected to which project, over all nodes. Entries live by a TTL that their node renews, so those of a dead
 * node end by themselves. Every method is atomic per project: of several nodes exactly one is told `joined` or gets a
 * user from `sweep`. Every method rejects with `dependency_unavailable` when the store is away.
 */
export interface PresenceRegistry {
  /**
   * Adds or renews a connection for `ttlMs`. `joined` is true when the user had none in the project before, counting
   * connections that left or expired but were not swept yet; so `joined` and `gone` of a user always alternate.
   */
  enter(projectId: string, entry: PresenceEntry, ttlMs: number): Promise<{ joined: boolean }>;
  /**
   * Keeps the connections of this node alive for another `ttlMs`; ones the store forgot are entered again, ones that
   * left stay left.
   */
  renew(projectId: string, entries: readonly PresenceEntry[], ttlMs: number): Promise<void>;
  /** The connection ended: it stops being listed at once, and counts for `joined`/`sweep` until `graceMs` are over. */
  leave(projectId: string, sessionId: string, graceMs: number): Promise<void>;
  /** Removes what has expired; `gone` are the users of whom nothing is left, each handed to one caller only. */
  sweep(projectId: string): Promise<{ gone: readonly string[] }>;
  /** Connections that are live now, oldest first. */
  list(projectId: string): Promise<readonly PresenceEntry[]>;
  /** Projects that have entries, so that any node can sweep for a dead one. */
  projects(): Promise<readonly string[]>;
  close(): Promise<void>;
}
