/** An invitation waits in this tab while its guest signs in. */
const KEY = "atelier.invitation";

/** Keeps it until this tab is closed. */
export function keepInvitation(token: string): void {
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // Without storage the link has to be opened again after signing in.
  }
}

/** What was kept. */
export function keptInvitation(): string | undefined {
  try {
    return sessionStorage.getItem(KEY) ?? undefined;
  } catch {
    return undefined;
  }
}

/** It was taken up. */
export function forgetInvitation(): void {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // Nothing was kept.
  }
}
