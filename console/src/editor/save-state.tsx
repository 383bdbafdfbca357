import type { SaveState as State } from "atelier-client/document";
import { Icon, type IconName } from "../ui/icon.js";

interface Look {
  readonly label: string;
  readonly icon: IconName;
  readonly about: string;
}

const STATES: Readonly<Record<State | "read-only" | "refused", Look>> = {
  loading: { label: "Opening …", icon: "cloud", about: "The text is on its way." },
  saved: { label: "Saved", icon: "check", about: "The service has kept everything you typed." },
  saving: { label: "Saving …", icon: "cloud", about: "What you typed is on its way to the service." },
  offline: {
    label: "Offline",
    icon: "cloud-off",
    about: "There is no connection. What you type is kept on this device and sent when it is back.",
  },
  "read-only": { label: "Read only", icon: "lock", about: "You see what others type; you cannot change it." },
  refused: { label: "Not saved", icon: "alert", about: "Your last words came after your role had changed." },
};

/** How far the text is kept; it is never said to be saved before the service has committed it. */
export function SaveState({
  state,
  readOnly,
  unsaved,
}: {
  readonly state: State;
  readonly readOnly: boolean;
  readonly unsaved: boolean;
}) {
  const shown =
    readOnly && state !== "offline" && state !== "loading" ? (unsaved ? "refused" : "read-only") : state;
  const { label, icon, about } = STATES[shown];
  return (
    <span className={`save-state save-state-${shown}`} role="status" title={about} data-state={shown}>
      <Icon name={icon} />
      {label}
    </span>
  );
}
