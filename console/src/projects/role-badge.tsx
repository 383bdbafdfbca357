import type { Role } from "atelier-client";

/** What a role is called and may do. */
export const ROLES: readonly { readonly role: Role; readonly label: string; readonly may: string }[] = [
  { role: "viewer", label: "Viewer", may: "reads and follows along" },
  { role: "collaborator", label: "Collaborator", may: "edits files and runs code" },
  { role: "owner", label: "Owner", may: "also manages members and the project" },
];

/** True for a role that may change files and run code. */
export function mayWrite(role: Role | undefined): boolean {
  return role === "owner" || role === "collaborator";
}

/** A role as a badge. */
export function RoleBadge({ role }: { readonly role: Role }) {
  return (
    <span className={role === "owner" ? "badge badge-info" : "badge"}>
      {ROLES.find((each) => each.role === role)?.label ?? role}
    </span>
  );
}
