import type { PresentUser } from "./generated/api.js";
import type { EventFrame } from "./generated/frames.js";

/** Who is connected to a project, kept up by the events of its stream. */
export interface PresenceList {
  readonly users: readonly PresentUser[];
  /** The list as of `seq`. */
  reset(users: readonly PresentUser[], seq: number): void;
  /** True when the event changed the list. */
  apply(event: EventFrame): boolean;
}

/** A list that begins empty. */
export function createPresenceList(): PresenceList {
  let users: readonly PresentUser[] = [];
  let asOf = 0;
  return {
    get users() {
      return users;
    },
    reset(next, seq) {
      users = next;
      asOf = seq;
    },
    apply({ type, userId, seq, payload }) {
      // What is replayed from before the list was made is in the list.
      if (userId === null || seq <= asOf) return false;
      if (type === "user_left") {
        const rest = users.filter((user) => user.userId !== userId);
        if (rest.length === users.length) return false;
        users = rest;
        return true;
      }
      if (type !== "user_joined" || users.some((user) => user.userId === userId)) return false;
      users = [
        ...users,
        { userId, name: typeof payload.name === "string" ? payload.name : "", connections: 1 },
      ];
      return true;
    },
  };
}
