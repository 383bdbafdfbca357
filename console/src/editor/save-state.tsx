import { Icon, type IconName } from "../ui/icon.js";

/** What is true of an open text: everything typed is kept by the service, is on its way, or waits here. */
export type SaveStateName = "loading" | "saved" | "saving" | "offline" | "read-only";

const STATES: Readonly<
  Record<SaveStateName, { readonly label: string; readonly icon: IconName; readonly about: string }>
> = {
  loading: { label: "Opening …", icon: "cloud", about: "The text is on its way." },
  saved: { label: "Saved", icon: "check", about: "The service has kept everything you typed." },
  saving: { label: "Saving …", icon: "cloud", about: "What you typed is on its way to the service." },
  offline: {
    label: "Offline",
    icon: "cloud-off",
    about: "There is no connection. What you type is kept on this device and sent when it is back.",
  },
  "read-only": { label: "Read only", icon: "lock", about: "You see what others type; you cannot change it." },
};

/** How far the text is kept. */
export function SaveState({ state }: { readonly state: SaveStateName }) {
  const { label, icon, about } = STATES[state];
  return (
    <span className={`save-state save-state-${state}`} role="status" title={about} data-state={state}>
      <Icon name={icon} />
      {label}
    </span>
  );
}
