import { LRUCache } from "lru-cache";
import type { AuthzWatch } from "../events/authz-watch.js";
import type { LookUpMembership, Membership } from "./live-access.js";

/** An account that opens many sockets in this time is looked up once. */
const KEPT_MS = 1_000;
const MAX_KNOWN = 10_000;

/**
 * Remembers who was a member for a second, so that a thousand clients that come back at once do not ask the database a
 * thousand times. It is as current as an open socket is: whatever the access log brings forgets all of it, also the answers
 * of look-ups that are under way. That somebody is no member is never remembered.
 */
export function rememberMemberships(
  lookUp: LookUpMembership,
  authzWatch: Pick<AuthzWatch, "onChange">,
): LookUpMembership {
  const known = new LRUCache<string, Promise<Membership | undefined>>({
    max: MAX_KNOWN,
    ttl: KEPT_MS,
    ttlResolution: 100,
  });
  authzWatch.onChange((entries) => {
    if (entries.some(({ kind }) => kind !== "session")) known.clear();
  });

  return (projectId, userId) => {
    const key = `${projectId} ${userId}`;
    const seen = known.get(key);
    if (seen) return seen;
    const asked = lookUp(projectId, userId);
    known.set(key, asked);
    const forget = () => {
      if (known.peek(key) === asked) known.delete(key);
    };
    asked.then((membership) => {
      if (!membership) forget();
    }, forget);
    return asked;
  };
}
