import type { Request, Response } from "express";
import { AppError } from "../errors.js";
import type { RateLimiter, RateLimitPolicy, RateLimitVerdict } from "../platform/rate-limit/rate-limiter.js";

/** The policies every request falls under. */
export interface HttpPolicies {
  /** Per address, for requests without a valid token; in strict mode for all. */
  readonly anonymous: RateLimitPolicy;
  /** Per user. */
  readonly user: RateLimitPolicy;
  /** Per user, for everything but GET and HEAD. */
  readonly write: RateLimitPolicy;
  /** Per address, for every request to a route that needs no token (sign-in and its kind); in strict mode only. */
  readonly signIn: RateLimitPolicy;
  /** `strict`: the anonymous policy counts everybody and `signIn` every sign-in, as the first README of this project has it. */
  readonly mode: "tiered" | "strict";
}

/** Applies policies to a request and tells the client where it stands. */
export interface HttpRateLimit {
  /** Counts the request; @throws AppError `rate_limited` with `Retry-After`. */
  admit(
    request: Request,
    response: Response,
    userId: string | undefined,
    route: { readonly limits?: readonly RateLimitPolicy[]; readonly auth: "public" | "user" },
  ): Promise<void>;
}

/** Rate limits for HTTP with `RateLimit-Policy` and `RateLimit` on every answer (draft-ietf-httpapi-ratelimit-headers-10). */
export function createHttpRateLimit(deps: {
  limiter: RateLimiter;
  policies: HttpPolicies;
  onRefused: (policy: string) => void;
}): HttpRateLimit {
  const { limiter, policies, onRefused } = deps;
  return {
    async admit(request, response, userId, route) {
      const address = addressKey(clientAddress(request));
      const wanted: [RateLimitPolicy, string][] = [];
      if (policies.mode === "strict" || userId === undefined) wanted.push([policies.anonymous, address]);
      else {
        wanted.push([policies.user, userId]);
        if (request.method !== "GET" && request.method !== "HEAD") wanted.push([policies.write, userId]);
      }
      if (policies.mode === "strict" && route.auth === "public") wanted.push([policies.signIn, address]);
      for (const policy of route.limits ?? []) wanted.push([policy, userId ?? address]);
      const verdicts = await Promise.all(
        wanted
          .filter(([policy]) => policy.limit > 0)
          .map(async ([policy, key]) => ({ policy, verdict: await limiter.consume(policy, key) })),
      );
      describe(response, verdicts);
      const refused = verdicts.find(({ verdict }) => !verdict.allowed);
      if (refused) {
        onRefused(refused.policy.name);
        throw rateLimited(refused.policy, refused.verdict);
      }
    },
  };
}

/** The 429 of a policy. */
export function rateLimited(policy: RateLimitPolicy, verdict: RateLimitVerdict): AppError {
  return new AppError("rate_limited", {
    detail: `The limit ${policy.name} allows ${policy.limit} per ${Math.round(policy.windowMs / 1000)} s.`,
    headers: { "Retry-After": String(Math.max(1, Math.ceil(verdict.resetMs / 1000))) },
    extensions: { policy: policy.name, limit: policy.limit },
  });
}

function describe(
  response: Response,
  verdicts: readonly { policy: RateLimitPolicy; verdict: RateLimitVerdict }[],
): void {
  if (verdicts.length === 0) return;
  const policy = verdicts.map(
    ({ policy: p }) => `"${p.name}";q=${p.limit};w=${Math.ceil(p.windowMs / 1000)}`,
  );
  const state = verdicts.map(
    ({ policy: p, verdict: v }) => `"${p.name}";r=${v.remaining};t=${Math.ceil(v.resetMs / 1000)}`,
  );
  response.setHeader("RateLimit-Policy", policy.join(", "));
  response.setHeader("RateLimit", state.join(", "));
}

/** The client's address: what `trust proxy` lets through, IPv4-mapped addresses as IPv4. */
export function clientAddress(request: Request): string {
  return plainAddress(request.ip ?? request.socket.remoteAddress ?? "unknown");
}

/** `::ffff:1.2.3.4` → `1.2.3.4`. */
export function plainAddress(address: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
}

/** What an address is counted by: an IPv4 address itself, an IPv6 address by its /64. */
export function addressKey(address: string): string {
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.split("%")[0]?.toLowerCase().split("::") ?? [];
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const groups = [...left, ...Array<string>(zeros).fill("0"), ...right].slice(0, 4);
  return `${groups.map((group) => group.replace(/^0+(?=.)/, "")).join(":")}::/64`;
}
