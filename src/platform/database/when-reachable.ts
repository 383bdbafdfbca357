import { AppError } from "../../errors.js";

/** How long {@link whenReachable} rests between two tries. */
const REST_MS = 500;

/**
 * Does `work` again and again as long as the database is away: for what a process needs before it can serve, so that a
 * database that goes away while it starts delays it and does not end it. `work` must be safe to repeat.
 *
 * @param options.waiting Told the reason before each rest.
 * @throws whatever else `work` throws, and what it threw last when `options.givenUp` says so.
 */
export async function whenReachable<T>(
  work: () => Promise<T>,
  options: { readonly waiting: (error: unknown) => void; readonly givenUp: () => boolean },
): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const away = error instanceof AppError && ["dependency_unavailable", "overloaded"].includes(error.code);
      if (!away || options.givenUp()) throw error;
      options.waiting(error);
      await new Promise((resolve) => setTimeout(resolve, REST_MS));
    }
  }
}
