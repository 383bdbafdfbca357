import { z } from "zod";
import { canonicalEmail } from "../auth/emails.js";
import { ROLES } from "./access.js";
import { INVITATION_TOKEN } from "./invitation-tokens.js";

/** Control characters, line separators, zero-width and direction marks: they make two names look like one. */
const HIDDEN = /[\p{Cc}\p{Zl}\p{Zp}\u200B\u200E\u200F\u202A-\u202E\u2060-\u2069\uFEFF]/u;
const VISIBLE = /[\p{L}\p{N}\p{P}\p{S}]/u;
/** Control characters but tab and line ends. */
const CONTROL = /[^\P{Cc}\t\n\r]/u;

/** Length in code points, as JSON Schema counts it. */
function hasLength(text: string, min: number, max: number): boolean {
  if (text.length > 2 * max) return false;
  const { length } = Array.from(text);
  return length >= min && length <= max;
}

/** Name of a project or workspace: 3–100 characters in one visible line, white space around it removed. */
export const nameSchema = z
  .string()
  .trim()
  .refine((name) => hasLength(name, 3, 100), "must have 3 to 100 characters")
  .refine((name) => !HIDDEN.test(name) && VISIBLE.test(name), "must be visible text in one line")
  .meta({ minLength: 3, maxLength: 100 });

const description = z
  .string()
  .refine((text) => hasLength(text, 0, 500), "must have at most 500 characters")
  .refine((text) => !CONTROL.test(text), "must not hold control characters")
  .meta({ maxLength: 500 });

/** An id in a path or body. */
export const idSchema = z.uuid().toLowerCase();

/** A point in time as replies write it. */
export const timeSchema = z.iso.datetime().meta({ description: "RFC 3339, UTC." });

/** The number inside the ETag of a thing. */
export const versionSchema = z.int().min(1).meta({ description: 'The n in the ETag `"vn"`.' });

const role = z.enum(ROLES);

/** `POST` and `PUT` of a project. */
export const projectBody = z.strictObject({ name: nameSchema, description: description.nullish() });

/** `PATCH` of a project: what is left out stays, a null description clears it. */
export const projectPatchBody = z.strictObject({
  name: nameSchema.optional(),
  description: description.nullish(),
});

/** An address, read in its canonical form. */
const email = z
  .string()
  .max(320)
  .transform((input, context) => {
    const canonical = canonicalEmail(input);
    if (canonical !== undefined) return canonical;
    context.addIssue({ code: "invalid_format", format: "email", message: "must be one bare e-mail address" });
    return z.NEVER;
  });

/** `POST` of a member. */
export const inviteBody = z.strictObject({ email, role });

/** `PUT` and `PATCH` of a member. */
export const roleBody = z.strictObject({ role });

/** `POST /invitations/accept`. */
export const acceptBody = z.strictObject({
  token: z
    .string()
    .max(200)
    .regex(INVITATION_TOKEN, "is not an invitation token")
    .meta({ description: "The part of the invitation link after `#token=`." }),
});

export const projectParams = z.strictObject({ projectId: idSchema });
export const memberParams = z.strictObject({ projectId: idSchema, userId: idSchema });
export const invitationParams = z.strictObject({ projectId: idSchema, invitationId: idSchema });

/** Where a list ordered by id stands. */
export const idPosition = z.strictObject({ id: z.uuid() });

/** Where the list of members stands. */
export const memberPosition = z.strictObject({ joinedAt: z.int(), userId: z.uuid() });

/** A project as its members see it. */
export const projectSchema = z
  .strictObject({
    id: z.uuid(),
    name: z.string(),
    description: z.string().nullable(),
    role: role.meta({ description: "Your own role." }),
    version: versionSchema,
    createdAt: timeSchema,
    updatedAt: timeSchema,
  })
  .meta({ id: "Project" });

/** A member as the other members see it. */
export const memberSchema = z
  .strictObject({
    userId: z.uuid(),
    name: z.string(),
    email: z.string().meta({ description: "Members of a project see each other's address." }),
    role,
    version: versionSchema,
    joinedAt: timeSchema,
  })
  .meta({ id: "Member" });

/** A pending invitation, without its link. */
export const invitationSchema = z
  .strictObject({
    id: z.uuid(),
    email: z.string(),
    role,
    invitedBy: z.uuid(),
    createdAt: timeSchema,
    expiresAt: timeSchema,
  })
  .meta({ id: "Invitation" });

/** An invitation with its link, which is shown this once. */
export const issuedInvitationSchema = invitationSchema
  .extend({ link: z.url().meta({ description: "Copy it now: it is not shown again." }) })
  .meta({ id: "IssuedInvitation" });

export type Project = z.output<typeof projectSchema>;
export type Member = z.output<typeof memberSchema>;
export type Invitation = z.output<typeof invitationSchema>;
export type IssuedInvitation = z.output<typeof issuedInvitationSchema>;
