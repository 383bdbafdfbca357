import type { Request, Response } from "express";
import { AppError } from "../errors.js";
import type { AdmissionRule, HttpRateLimit } from "./rate-limit.js";
import type { Principal } from "./route.js";

/** Turns the `Authorization` header into a principal. */
export interface Authenticator {
  /** @throws AppError 401 codes, or `dependency_unavailable` when it cannot be decided (never 401 then). */
  authenticate(authorization: string | undefined): Promise<Principal>;
}

/** Lets a request in, or not: who it is from, then the limits; a refused token counts for the address. */
export type Admit = (
  request: Request,
  response: Response,
  rule: AdmissionRule,
) => Promise<Principal | undefined>;

/** Admission by these parts. */
export function createAdmission(deps: {
  readonly authenticator: Authenticator;
  readonly rateLimit: HttpRateLimit;
}): Admit {
  const { authenticator, rateLimit } = deps;
  return async (request, response, rule) => {
    const { auth } = rule;
    const authorization = request.get("authorization");
    let principal: Principal | undefined;
    let refused: unknown;
    if (auth === "user" || (auth === "any" && authorization !== undefined)) {
      principal = await authenticator.authenticate(authorization).catch((error: unknown) => {
        refused = error;
        return undefined;
      });
      if (principal) (response.locals as { userId?: string }).userId = principal.userId;
    }
    await rateLimit.admit(request, response, principal?.userId, rule);
    if (auth === "user" && refused !== undefined)
      throw refused instanceof Error ? refused : new AppError("unauthenticated");
    return principal;
  };
}
