import { z } from "zod";
import { canonicalEmail } from "./emails.js";
import { mailTokenForm } from "./mail-tokens.js";
import { MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH, passwordFault } from "./passwords.js";
import type { SessionView } from "./session-repository.js";
import { SIGN_IN_LINK_FORM } from "./sign-in-links.js";
import type { User } from "./user-repository.js";

/** Control characters, line separators, zero-width and direction marks: they make two names look like one. */
const HIDDEN = /[\p{Cc}\p{Zl}\p{Zp}\u200B\u200E\u200F\u202A-\u202E\u2060-\u2069\uFEFF]/u;
const VISIBLE = /[\p{L}\p{N}]/u;

/** A person's name: 2–100 characters in one visible line, white space around it removed. */
const personName = z
  .string()
  .max(1_000)
  .trim()
  .refine((name) => name.length <= 200 && hasLength(name, 2, 100), {
    message: "must have 2 to 100 characters",
    abort: true,
  })
  .refine((name) => !HIDDEN.test(name) && VISIBLE.test(name), "must be visible text in one line")
  .meta({ minLength: 2, maxLength: 100 });

/** One bare address, read in its canonical form. */
const email = z
  .string()
  .max(320)
  .transform((input, context) => {
    const canonical = canonicalEmail(input);
    if (canonical !== undefined) return canonical;
    context.addIssue({ code: "invalid_format", format: "email", message: "must be one bare e-mail address" });
    return z.NEVER;
  });

/** A password about to be chosen. */
const newPassword = z
  .string()
  .max(MAX_PASSWORD_LENGTH)
  .superRefine((password, context) => {
    const fault = passwordFault(password);
    if (fault !== undefined) context.addIssue({ code: "custom", message: fault });
  })
  .meta({
    minLength: MIN_PASSWORD_LENGTH,
    description: "Any characters; only the most common passwords are refused.",
  });

/** A password that was chosen before, perhaps under other rules. */
const knownPassword = z.string().min(1).max(MAX_PASSWORD_LENGTH);

const refreshToken = z.string().min(1).max(2_048);

/** `POST /auth/register`. */
export const registerBody = z.strictObject({ email, password: newPassword, name: personName });

/** `POST /auth/login`. */
export const loginBody = z.strictObject({ email, password: knownPassword });

/** `POST /auth/link`. */
export const linkBody = z.strictObject({
  token: z
    .string()
    .max(200)
    .regex(SIGN_IN_LINK_FORM, "is not a sign-in token")
    .meta({ description: "The part of the link after `#token=`." }),
});

/** `POST /auth/refresh`. */
export const refreshBody = z.strictObject({ refreshToken });

/** `POST /auth/logout`. */
export const logoutBody = z.strictObject({ refreshToken: refreshToken.optional() });

/** `POST /auth/logout-all`. */
export const logoutAllBody = z.strictObject({
  keepCurrent: z.boolean().optional().meta({ description: "Leave the session of this request alone." }),
});

/** `PATCH /auth/me`. */
export const profileBody = z.strictObject({ name: personName.optional() });

/** `POST /auth/password`. */
export const passwordBody = z.strictObject({ currentPassword: knownPassword, newPassword });

/** `POST /auth/password/forgot`. */
export const forgotBody = z.strictObject({ email });

/** `POST /auth/password/reset`. */
export const resetBody = z.strictObject({
  token: z
    .string()
    .max(200)
    .regex(mailTokenForm("reset_password"), "is not a reset token")
    .meta({ description: "The part of the link in the mail after `#token=`." }),
  password: newPassword,
});

/** `POST /auth/email/verify`. */
export const verifyBody = z.strictObject({
  token: z
    .string()
    .max(200)
    .regex(mailTokenForm("verify_email"), "is not a verification token")
    .meta({ description: "The part of the link in the mail after `#token=`." }),
});

/** Path of one session. */
export const sessionParams = z.strictObject({ id: z.uuid().toLowerCase() });

/** Where the list of sessions stands. */
export const sessionPosition = z.strictObject({ id: z.uuid() });

const time = z.iso.datetime().meta({ description: "RFC 3339, UTC." });

/** An account as it sees itself. */
export const userSchema = z
  .strictObject({
    id: z.uuid(),
    email: z.string(),
    name: z.string(),
    emailVerified: z.boolean(),
    version: z.int().min(1).meta({ description: 'The n in the ETag `"vn"`.' }),
    createdAt: time,
    updatedAt: time,
  })
  .meta({ id: "User" });

/** Tokens to act for an account. */
export const tokensSchema = z
  .strictObject({
    accessToken: z.string(),
    refreshToken: z.string().meta({ description: "Good for one refresh; keep it safe." }),
    expiresIn: z.int().meta({ description: "Life of the access token in seconds." }),
    tokenType: z.literal("Bearer"),
  })
  .meta({ id: "Tokens" });

/** A device the account is signed in on. */
export const sessionSchema = z
  .strictObject({
    id: z.uuid(),
    name: z.string().meta({ description: "Such as `Firefox on Linux`." }),
    userAgent: z.string(),
    ip: z.string().nullable().meta({ description: "The network it signed in from, shortened." }),
    current: z.boolean().meta({ description: "The session of this very request." }),
    createdAt: time,
    lastUsedAt: time,
  })
  .meta({ id: "Session" });

/** The public form of an account: what is not named here never leaves. */
export function presentUser(user: User): z.input<typeof userSchema> {
  return {
    id: user.id,
    email: user.email,
    name: user.name,
    emailVerified: user.emailVerifiedAt !== null,
    version: user.version,
    createdAt: user.createdAt.toISOString(),
    updatedAt: user.updatedAt.toISOString(),
  };
}

/** The public form of a session. */
export function presentSession(session: SessionView, currentId: string): z.input<typeof sessionSchema> {
  return {
    id: session.id,
    name: session.name,
    userAgent: session.userAgent,
    ip: session.ipPrefix,
    current: session.id === currentId,
    createdAt: session.createdAt.toISOString(),
    lastUsedAt: session.lastUsedAt.toISOString(),
  };
}

function hasLength(text: string, min: number, max: number): boolean {
  const { length } = Array.from(text);
  return length >= min && length <= max;
}
