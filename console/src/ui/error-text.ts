import { AtelierError } from "atelier-client";

/** An error for people: what happened, and what they can do. */
export interface ErrorText {
  readonly what: string;
  readonly advice: string;
  /** To be named when asking for help. */
  readonly requestId?: string | undefined;
  /** True when the same thing may work later. */
  readonly passing: boolean;
}

const ADVICE: Readonly<Record<string, string>> = {
  network_error: "Check your connection. It goes on by itself when the server can be reached again.",
  timeout: "The server took too long. Try again in a moment.",
  dependency_unavailable: "A part of the service is away. Nothing you did is lost; try again shortly.",
  overloaded: "The server is busy. Try again in a few seconds.",
  shutting_down: "The server is restarting. Try again in a few seconds.",
  feature_disabled: "An administrator has switched this off on this server.",
  internal_error: "It is not your fault. Try again; if it stays, report the request id below.",
  not_found: "It was deleted or moved, or it is not shared with you.",
  forbidden: "Ask an Owner of the project for a higher role.",
  invalid_credentials: "Check the address and the password, or choose a new password.",
  email_taken: "Sign in instead, or use another address.",
  wrong_password: "Enter the password you sign in with now.",
  already_member: "Change the role in the list of members instead.",
  last_owner: "Make somebody else an Owner first.",
  link_expired: "Ask for a new link; each works once and for a short time.",
  invitation_for_another: "Sign in with the address the invitation was sent to.",
  email_not_verified: "Open the link in the mail we sent, or ask for another one under Account.",
  version_mismatch: "Somebody else changed it meanwhile. Load it again and repeat your change.",
  payload_too_large: "Choose something smaller.",
  unsupported_language: "Choose another language.",
  quota_exceeded: "Wait until running jobs have ended, or ask an administrator for more.",
  session_revoked: "Sign in again.",
  session_expired: "Sign in again.",
  refresh_reused: "For your safety this device was signed out. Sign in again.",
  validation_failed: "Correct what is marked and try again.",
};

/** Says what an error means. */
export function explain(error: unknown): ErrorText {
  if (!(error instanceof AtelierError))
    return {
      what: "Something unexpected happened in this page.",
      advice: "Reload the page.",
      passing: false,
    };
  const { code, status, requestId, retryAfter } = error;
  const passing = status === 0 || status === 429 || status >= 500;
  const wait = retryAfter === undefined ? undefined : waiting(retryAfter);
  const advice =
    code === "rate_limited" ? `Wait ${wait ?? "a moment"}, then try again.` : (ADVICE[code] ?? "Try again.");
  const faults = error.errors.map(({ pointer, message }) => `${pointer.replace(/^[/?]/, "")}: ${message}`);
  const what = faults.length > 0 ? faults.join("; ") : error.message;
  return { what, advice, requestId: status >= 500 ? requestId : undefined, passing };
}

/** What is wrong with one member of the input, by its name. */
export function faultOf(error: unknown, member: string): string | undefined {
  if (!(error instanceof AtelierError)) return undefined;
  const fault = error.errors.find(
    ({ pointer }) => pointer === `/${member}` || pointer.startsWith(`/${member}/`),
  );
  return fault && capital(fault.message);
}

/** True when an error is about named members, which then say so themselves. */
export function hasFaults(error: unknown): boolean {
  return error instanceof AtelierError && error.errors.length > 0;
}

function waiting(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return `${Math.ceil(seconds / 60)} minutes`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
