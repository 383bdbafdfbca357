import { useSyncExternalStore } from "react";
import { Icon } from "../ui/icon.js";

function subscribe(listener: () => void): () => void {
  window.addEventListener("online", listener);
  window.addEventListener("offline", listener);
  return () => {
    window.removeEventListener("online", listener);
    window.removeEventListener("offline", listener);
  };
}

/** Says that the device has no network. */
export function OfflineBanner() {
  const online = useSyncExternalStore(subscribe, () => navigator.onLine);
  if (online) return null;
  return (
    <div className="banner" role="status">
      <Icon name="cloud-off" />
      You are offline. What you type in open files is kept here and sent when you are back.
    </div>
  );
}
