import type { SessionState, User } from "atelier-client";
import { useSyncExternalStore } from "react";
import { client, toasts } from "./client.js";
import { queryClient } from "./queries.js";

/** Why the session ended without a wish of the person, until they have seen it. */
let ended: string | undefined;
const listeners = new Set<() => void>();

client.auth.onChange((state: SessionState) => {
  if (state.status === "signed_out") {
    ended = state.reason?.code;
    queryClient.clear();
  } else ended = undefined;
  for (const listener of listeners) listener();
});

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Who is signed in. */
export function useUser(): User | undefined {
  return useSyncExternalStore(subscribe, () => client.auth.user);
}

/** Why somebody was signed out against their will. */
export function endedReason(): string | undefined {
  return ended;
}

/** Calls `listener` whenever somebody signs in or out, in this tab or another. */
export const onSession = subscribe;

/** Signs this device out, also when the server cannot be told. */
export async function signOut(): Promise<void> {
  try {
    await client.auth.logout();
  } catch (error) {
    toasts.fail(error);
  }
}
