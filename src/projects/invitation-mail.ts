import type { Mail } from "../platform/mail/mailer.js";
import type { Role } from "./access.js";

const MAX_NAME = 60;

/** The mail that carries an invitation link. Names in it are what others chose: they must not become links or headers. */
export function invitationMail(invitation: {
  readonly to: string;
  readonly inviterName: string;
  readonly projectName: string;
  readonly role: Role;
  readonly link: string;
  readonly expiresAt: Date;
}): Mail {
  const inviter = plainName(invitation.inviterName);
  const project = plainName(invitation.projectName);
  return {
    to: invitation.to,
    subject: `Invitation to the project "${project}"`,
    text: [
      `${inviter} invites you to the project "${project}" as ${invitation.role}.`,
      "",
      "Sign in, or sign up, with this e-mail address and open:",
      invitation.link,
      "",
      `The link works once, until ${invitation.expiresAt.toUTCString()}.`,
      "If you did not expect this mail, you can ignore it.",
      "",
    ].join("\n"),
  };
}

/** One line of at most 60 characters in which no mail program finds an address or a link. */
function plainName(name: string): string {
  const line = name.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}<>"]+/gu, " ");
  const apart = line.replaceAll(/([.:/\\@])(?=[^\s\d])/g, "$1 ");
  const characters = Array.from(apart.trim());
  return characters.length > MAX_NAME ? `${characters.slice(0, MAX_NAME).join("")}…` : characters.join("");
}
