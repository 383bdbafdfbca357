import { expect } from "@jest/globals";
import { ERROR_CATALOGUE, type ErrorCode } from "../../src/errors.js";
import type { Answer } from "./api.js";

/** Words of our inside that no answer may hold: stacks, SQL, drivers, paths. */
const INSIDE =
  /\bat (?:async )?\S+ \(|node_modules|node:internal|\.[jt]s:\d+|\/(?:home|root|tmp|work|usr|var)\/|\bselect\b.*\bfrom\b|\binsert into\b|postgres|SQLSTATE|kysely|ioredis|mongo|bcrypt|ZodError|TypeError|SyntaxError|ECONN/i;

/** What every answer of every listener carries. */
const SECURITY_HEADERS: Readonly<Record<string, RegExp>> = {
  "content-security-policy": /default-src 'none'.*frame-ancestors 'none'/,
  "cross-origin-resource-policy": /^same-origin$/,
  "referrer-policy": /^no-referrer$/,
  "strict-transport-security": /^max-age=(?:3[1-9]\d{6}|\d{9,})/,
  "x-content-type-options": /^nosniff$/,
  "x-frame-options": /^DENY$/,
  "cache-control": /^no-store$/,
  "x-request-id": /^[\w-]{8,64}$/,
};

/** Fails when the headers that protect a browser are not all there, or say who we are. */
export function expectSecurityHeaders(headers: Headers): void {
  for (const [name, form] of Object.entries(SECURITY_HEADERS))
    expect([name, headers.get(name)]).toEqual([name, expect.stringMatching(form)]);
  expect([headers.get("x-powered-by"), headers.get("server")]).toEqual([null, null]);
}

/** Fails unless the answer is a problem (RFC 9457) of the catalogue with nothing of our inside in it. */
export function expectProblem(answer: Answer, code?: ErrorCode): void {
  const { status, headers, body } = answer;
  expect(headers.get("content-type")).toBe("application/problem+json; charset=utf-8");
  expect(body).toMatchObject({
    type: `urn:atelier:error:${body.code}`,
    title: expect.any(String),
    status,
    instance: expect.stringMatching(/^\//),
    code: code ?? expect.any(String),
    requestId: headers.get("x-request-id"),
    errors: expect.any(Array),
  });
  expect(ERROR_CATALOGUE[body.code as ErrorCode]).toEqual({ status, title: body.title });
  for (const error of body.errors) {
    expect(error).toEqual({
      pointer: expect.stringMatching(/^(?:$|\/|\?|:)/),
      code: expect.any(String),
      message: expect.any(String),
    });
  }
  expect(JSON.stringify({ ...body, instance: "" })).not.toMatch(INSIDE);
  expectSecurityHeaders(headers);
}
