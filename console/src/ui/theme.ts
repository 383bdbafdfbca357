import { useSyncExternalStore } from "react";

/** What somebody chose: a theme, or the system's. */
export type ThemeChoice = "light" | "dark" | "system";

const KEY = "atelier.theme";

/** The chosen theme, and a way to choose; public/theme.js applies it. */
export function useTheme(): readonly [ThemeChoice, (choice: ThemeChoice) => void] {
  const choice = useSyncExternalStore(subscribe, read);
  return [choice, choose];
}

function subscribe(listener: () => void): () => void {
  window.addEventListener("atelier:theme", listener);
  window.addEventListener("storage", listener);
  return () => {
    window.removeEventListener("atelier:theme", listener);
    window.removeEventListener("storage", listener);
  };
}

function read(): ThemeChoice {
  try {
    const stored = localStorage.getItem(KEY);
    return stored === "light" || stored === "dark" ? stored : "system";
  } catch {
    return "system";
  }
}

function choose(choice: ThemeChoice): void {
  try {
    if (choice === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, choice);
  } catch {
    // Without storage the choice cannot be kept.
  }
  window.dispatchEvent(new Event("atelier:theme"));
}
