import { isIP, SocketAddress } from "node:net";
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

/** What a request is let in by. */
export interface AdmissionRule {
  /** `user`: a valid token is needed; `public`: none is looked at; `any`: one is counted for its user, none is needed. */
  readonly auth: "user" | "public" | "any";
  /** Limits on top of the ones every request has. */
  readonly limits?: readonly RateLimitPolicy[];
  /** True when its own limits stand in place of the anonymous one (except in strict mode). */
  readonly ownLimits?: boolean;
}

/** Applies policies to a request and tells the client where it stands. */
export interface HttpRateLimit {
  /** Counts the request; @throws AppError `rate_limited` with `Retry-After`. */
  admit(request: Request, response: Response, userId: string | undefined, rule: AdmissionRule): Promise<void>;
}

/** Rate limits for HTTP with `RateLimit-Policy` and `RateLimit` on every answer (draft-ietf-httpapi-ratelimit-headers-10). */
export function createHttpRateLimit(deps: {
  limiter: RateLimiter;
  policies: HttpPolicies;
  onRefused: (policy: string) => void;
}): HttpRateLimit {
  const { limiter, policies, onRefused } = deps;
  return {
    async admit(request, response, userId, rule) {
      const address = addressKey(clientAddress(request));
      const wanted: [RateLimitPolicy, string][] = [];
      if (policies.mode === "strict" || (userId === undefined && !rule.ownLimits)) {
        wanted.push([policies.anonymous, address]);
      } else if (userId !== undefined) {
        wanted.push([policies.user, userId]);
        if (request.method !== "GET" && request.method !== "HEAD") wanted.push([policies.write, userId]);
      }
      if (policies.mode === "strict" && rule.auth === "public") wanted.push([policies.signIn, address]);
      for (const policy of rule.limits ?? []) wanted.push([policy, userId ?? address]);
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
    headers: {
      "Retry-After": String(Math.max(1, Math.ceil(verdict.resetMs / 1000))),
      "RateLimit-Policy": policyItem(policy),
      RateLimit: stateItem(policy, verdict),
    },
    extensions: { policy: policy.name, limit: policy.limit },
  });
}

function policyItem({ name, limit, windowMs }: RateLimitPolicy): string {
  return `"${name}";q=${limit};w=${Math.ceil(windowMs / 1000)}`;
}

function stateItem({ name }: RateLimitPolicy, { remaining, resetMs }: RateLimitVerdict): string {
  return `"${name}";r=${remaining};t=${Math.ceil(resetMs / 1000)}`;
}

function describe(
  response: Response,
  verdicts: readonly { policy: RateLimitPolicy; verdict: RateLimitVerdict }[],
): void {
  if (verdicts.length === 0) return;
  response.setHeader("RateLimit-Policy", verdicts.map(({ policy }) => policyItem(policy)).join(", "));
  response.setHeader(
    "RateLimit",
    verdicts.map(({ policy, verdict }) => stateItem(policy, verdict)).join(", "),
  );
}

/** The client's address: what `trust proxy` lets through, IPv4-mapped addresses as IPv4. */
export function clientAddress(request: Request): string {
  return plainAddress(request.ip ?? request.socket.remoteAddress ?? "unknown");
}

/** An address in its one form: no zone, an IPv4-mapped one as IPv4. */
export function plainAddress(address: string): string {
  const bare = address.split("%")[0] ?? "";
  if (isIP(bare) !== 6) return address;
  const canonical = new SocketAddress({ address: bare, family: "ipv6" }).address;
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(canonical)?.[1] ?? canonical;
}

/** What an address is counted by: an IPv4 address itself, an IPv6 address by its /64. */
export function addressKey(address: string): string {
  const plain = plainAddress(address);
  if (isIP(plain) !== 6) return plain;
  const [head = "", tail = ""] = plain.split("::");
  const left = head === "" ? [] : head.split(":");
  // An IPv4 tail stands for two groups, and never among the first four.
  const right = tail === "" ? 0 : tail.split(":").length + (tail.includes(".") ? 1 : 0);
  const zeros = plain.includes("::") ? Array<string>(8 - left.length - right).fill("0") : [];
  const groups = [...left, ...zeros, ...(tail === "" ? [] : tail.split(":"))].slice(0, 4);
  return `${groups.join(":")}::/64`;
}
