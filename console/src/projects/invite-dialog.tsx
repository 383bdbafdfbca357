import type { Role } from "atelier-client";
import { type FormEvent, useState } from "react";
import { client } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { Button } from "../ui/button.js";
import { CopyField } from "../ui/copy-field.js";
import { Dialog } from "../ui/dialog.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { faultOf, hasFaults } from "../ui/error-text.js";
import { Notice } from "../ui/feedback.js";
import { SelectField, TextField } from "../ui/field.js";
import { ROLES } from "./role-badge.js";

/** Takes somebody in: at once when they have an account, else by a link. */
export function InviteDialog({
  projectId,
  onClose,
}: {
  readonly projectId: string;
  readonly onClose: () => void;
}) {
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<Role>("collaborator");
  const invite = useAction(() => client.members.add(projectId, { email, role }), {
    keys: [["project", projectId]],
    onSuccess: (answer) => {
      if ("member" in answer) onClose();
    },
    done: (answer) =>
      "member" in answer ? `${answer.member.name} is a member now.` : "The invitation is made.",
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    invite.mutate(undefined);
  };
  const invitation = invite.data && "invitation" in invite.data ? invite.data.invitation : undefined;
  return (
    <Dialog title="Invite somebody" onClose={onClose}>
      {invitation ? (
        <>
          <Notice tone="ok">
            {invitation.email} has no account here yet. Send them this link; it also goes out by mail when
            mail is set up.
          </Notice>
          <CopyField label="Invitation link" value={invitation.link} />
          <p className="small muted">
            It is shown only now. You can make a new one from the list of invitations.
          </p>
          <div className="dialog-foot">
            <Button kind="primary" onClick={onClose}>
              Done
            </Button>
          </div>
        </>
      ) : (
        <form className="stack" onSubmit={submit}>
          <TextField
            label="E-mail"
            type="email"
            required
            autoFocus
            placeholder="grace@example.com"
            value={email}
            error={faultOf(invite.error, "email")}
            onChange={(event) => setEmail(event.target.value)}
          />
          <SelectField label="Role" value={role} onChange={(event) => setRole(event.target.value as Role)}>
            {ROLES.map((each) => (
              <option key={each.role} value={each.role}>
                {each.label}: {each.may}
              </option>
            ))}
          </SelectField>
          {!hasFaults(invite.error) && <ErrorNotice error={invite.error} />}
          <div className="dialog-foot">
            <Button kind="quiet" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" kind="primary" busy={invite.isPending}>
              Invite
            </Button>
          </div>
        </form>
      )}
    </Dialog>
  );
}
