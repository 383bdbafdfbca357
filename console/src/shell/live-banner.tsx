import { useEffect, useState, useSyncExternalStore } from "react";
import type { LiveProject } from "../data/live.js";
import { explain } from "../ui/error-text.js";
import { Icon } from "../ui/icon.js";

/** A connection that is back within this time is not worth a word. */
const PATIENCE_MS = 1_500;

function subscribe(listener: () => void): () => void {
  window.addEventListener("online", listener);
  window.addEventListener("offline", listener);
  return () => {
    window.removeEventListener("online", listener);
    window.removeEventListener("offline", listener);
  };
}

/** Says what is wrong with the connection, and what happens meanwhile. */
export function LiveBanner({ live }: { readonly live: LiveProject }) {
  const online = useSyncExternalStore(subscribe, () => navigator.onLine);
  const away = useLasting(live.state === "reconnecting");
  const text = !online
    ? "You are offline. What you type in open files is kept here and sent when you are back."
    : live.state === "closed" && live.error
      ? `${explain(live.error).what} ${explain(live.error).advice}`
      : away
        ? "The server does not answer. What you type in open files is kept here; it goes on by itself."
        : live.degraded
          ? "A part of the service is away. Events may come late; nothing is lost."
          : undefined;
  return (
    <div role="status">
      {text && (
        <p className="banner">
          <Icon name="cloud-off" />
          {text}
        </p>
      )}
    </div>
  );
}

function useLasting(holds: boolean): boolean {
  const [lasting, setLasting] = useState(false);
  useEffect(() => {
    if (!holds) return setLasting(false);
    const timer = setTimeout(() => setLasting(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [holds]);
  return lasting;
}
