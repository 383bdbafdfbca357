import { randomUUID } from "node:crypto";

const REQUEST_ID = /^[\w-]{8,64}$/;
/** W3C Trace Context, section 3.2; version ff is invalid, and so is an id of zeros. */
const TRACEPARENT = /^(?!ff)[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})[\da-f]{16}-[\da-f]{2}(?:-|$)/;

/** The id of a request: the client's own when it is of the form we take, else a new one. */
export function requestIdOf(header: string | readonly string[] | undefined): string {
  return typeof header === "string" && REQUEST_ID.test(header) ? header : randomUUID();
}

/** The trace a request is part of, from its `traceparent`; undefined without a valid one. */
export function traceIdOf(header: string | readonly string[] | undefined): string | undefined {
  return typeof header === "string" ? TRACEPARENT.exec(header)?.[1] : undefined;
}
