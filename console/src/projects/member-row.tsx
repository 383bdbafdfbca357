import { useNavigate } from "@tanstack/react-router";
import type { Member, Role } from "atelier-client";
import { useState } from "react";
import { client } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { useUser } from "../data/session.js";
import { Avatar } from "../ui/avatar.js";
import { Button } from "../ui/button.js";
import { ConfirmDialog } from "../ui/confirm-dialog.js";
import { ROLES, RoleBadge } from "./role-badge.js";

/** One member, with what an Owner may do about them. */
export function MemberRow({
  projectId,
  member,
  isHere,
  mayManage,
}: {
  readonly projectId: string;
  readonly member: Member;
  readonly isHere: boolean;
  readonly mayManage: boolean;
}) {
  const { userId, name, email, role } = member;
  const self = useUser()?.id === userId;
  const navigate = useNavigate();
  const [asking, setAsking] = useState(false);
  const keys = [["project", projectId]];
  const change = useAction((next: Role) => client.members.setRole(projectId, userId, next), {
    keys,
    toast: true,
    done: `${name} has a new role.`,
  });
  const remove = useAction(() => client.members.remove(projectId, userId), {
    keys: self ? [["projects"]] : keys,
    done: self ? "You have left the project." : `${name} was taken out.`,
    onSuccess: () => {
      setAsking(false);
      if (self) void navigate({ to: "/projects" });
    },
  });
  return (
    <li className="list-row member">
      <span className="member-face">
        <Avatar id={userId} name={name} large />
        {isHere && <span className="dot dot-ok member-here" title="Here now" />}
      </span>
      <span className="grow">
        <span className="truncate block">
          {name} {self && <span className="faint">(you)</span>}
          {isHere && <span className="visually-hidden">, here now</span>}
        </span>
        <span className="small muted truncate block">{email}</span>
      </span>
      {mayManage ? (
        <select
          className="input input-small role-select"
          aria-label={`Role of ${name}`}
          value={role}
          disabled={change.isPending}
          onChange={(event) => change.mutate(event.target.value as Role)}
        >
          {ROLES.map((each) => (
            <option key={each.role} value={each.role}>
              {each.label}
            </option>
          ))}
        </select>
      ) : (
        <RoleBadge role={role} />
      )}
      {(mayManage || self) && (
        <Button small kind="quiet" onClick={() => setAsking(true)}>
          {self ? "Leave" : "Remove"}
        </Button>
      )}
      {asking && (
        <ConfirmDialog
          title={self ? "Leave the project?" : `Take out ${name}?`}
          action={self ? "Leave" : "Take out"}
          busy={remove.isPending}
          error={remove.error}
          onConfirm={() => remove.mutate(undefined)}
          onClose={() => setAsking(false)}
        >
          {self
            ? "You lose access at once. An Owner can invite you again."
            : "They lose access at once, also in files they have open. What they wrote stays."}
        </ConfirmDialog>
      )}
    </li>
  );
}
