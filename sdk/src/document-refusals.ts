import { AtelierError } from "./errors.js";

/** Refusals of a socket that are final. */
const STOPS: Readonly<Record<number, readonly [code: string, message: string]>> = {
  1009: ["payload_too_large", "More was changed at once than one message carries (16 MiB)."],
  4400: ["bad_request", "The service does not understand what was sent."],
  4403: ["forbidden", "Your access to the file was taken away."],
  4404: ["not_found", "The file is gone."],
};
/** What the reason of a denial means; other reasons are codes of the service. */
const DENIALS: readonly (readonly [form: RegExp, code: string, message: string])[] = [
  [/gone|deleted/, "not_found", "The file was deleted."],
  [/not_found/, "not_found", "The file is gone, or not shared with you."],
  [/revoked|removed|left/, "forbidden", "Your access to the file was taken away."],
  [/forbidden/, "forbidden", "Your role does not allow this."],
];
const STALE = new Set(["token_expired", "invalid_token", "unauthenticated"]);

/** The error of a close code that is final; undefined for one after which a client comes back. */
export function stopOf(code: number): AtelierError | undefined {
  const stop = STOPS[code];
  return stop && new AtelierError(...stop);
}

/** True for a denial that a fresh token may turn. */
export function isStale(reason: string): boolean {
  return STALE.has(reason);
}

/** The error of a denial. */
export function denialOf(reason: string): AtelierError {
  const [, code, message] = DENIALS.find(([form]) => form.test(reason)) ?? [];
  return new AtelierError(code ?? reason, message ?? "The file cannot be opened.");
}
