import { createHmac, randomBytes } from "node:crypto";
import { availableParallelism } from "node:os";
import bcrypt from "bcrypt";
import { COMMON_PASSWORDS } from "./common-passwords.js";
import { createHashQueue } from "./hash-queue.js";

/** Fewest characters (code points) of a password. */
export const MIN_PASSWORD_LENGTH = 8;
/** Most UTF-16 units of a password. */
export const MAX_PASSWORD_LENGTH = 1_024;

/** libuv has four threads by default; one stays free for files and name resolution. */
const MAX_SLOTS = 3;
const WAITING = 64;

/** Hashes and checks passwords, a few at a time. */
export interface Passwords {
  /** @throws AppError `overloaded` when too many are waiting. */
  hash(password: string): Promise<string>;
  /**
   * Compares with a hash of {@link Passwords.hash}; without one (an unknown account) it takes as long and says false.
   *
   * @throws AppError `overloaded` when too many are waiting.
   */
  verify(password: string, hash: string | undefined): Promise<boolean>;
  /** True for a hash made with another number of rounds than is configured now. */
  isOutdated(hash: string): boolean;
}

/**
 * bcrypt over a digest of the password, because bcrypt itself reads 72 bytes and ends at a NUL.
 *
 * @param options.rounds bcrypt cost, 4–15.
 */
export function createPasswords(options: { readonly rounds: number }): Passwords {
  const queue = createHashQueue({ slots: Math.min(availableParallelism(), MAX_SLOTS), waiting: WAITING });
  const hash = (password: string) => bcrypt.hash(digest(password), options.rounds);
  let dummy: Promise<string> | undefined;
  return {
    hash: (password) => queue.run(() => hash(password)),
    verify: (password, known) =>
      queue.run(async () => {
        dummy ??= hash(randomBytes(16).toString("hex"));
        const stand = await dummy;
        const matches = await bcrypt.compare(digest(password), known ?? stand);
        return matches && known !== undefined;
      }),
    isOutdated: (known) => bcrypt.getRounds(known) !== options.rounds,
  };
}

/**
 * 64 characters from any password. NFC, because keyboards differ in how they compose the same letter. The fixed key keeps
 * lists of plain SHA-384 digests of leaked passwords from being tried against our hashes.
 */
function digest(password: string): string {
  return createHmac("sha384", "atelier/password/1").update(password.normalize("NFC")).digest("base64");
}

/** Why a password cannot be chosen, or undefined. Any character is welcome; no rule asks for a kind of them. */
export function passwordFault(password: string): string | undefined {
  if (Array.from(password.normalize("NFC")).length < MIN_PASSWORD_LENGTH)
    return `must have at least ${MIN_PASSWORD_LENGTH} characters`;
  if (COMMON_PASSWORDS.has(password.normalize("NFC").toLowerCase()))
    return "is one of the most common passwords";
  return undefined;
}
