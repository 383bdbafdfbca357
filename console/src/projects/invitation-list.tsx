import { useQuery } from "@tanstack/react-query";
import type { Invitation } from "atelier-client";
import { useState } from "react";
import { client } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { queries } from "../data/queries.js";
import { Button } from "../ui/button.js";
import { CopyField } from "../ui/copy-field.js";
import { Dialog } from "../ui/dialog.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Icon } from "../ui/icon.js";
import { Ago } from "../ui/time.js";
import { RoleBadge } from "./role-badge.js";

/** Invitations nobody has taken up yet. */
export function InvitationList({ projectId }: { readonly projectId: string }) {
  const { data, error, refetch } = useQuery(queries.invitations(projectId));
  if (error) return <ErrorNotice error={error} onRetry={() => void refetch()} />;
  if (!data || data.length === 0) return null;
  return (
    <section className="card" aria-labelledby="invitations">
      <div className="card-head">
        <h2 id="invitations">Waiting invitations</h2>
      </div>
      <ul className="list">
        {data.map((invitation) => (
          <InvitationRow key={invitation.id} projectId={projectId} invitation={invitation} />
        ))}
      </ul>
    </section>
  );
}

function InvitationRow({
  projectId,
  invitation,
}: {
  readonly projectId: string;
  readonly invitation: Invitation;
}) {
  const { id, email, role, createdAt } = invitation;
  const [link, setLink] = useState<string>();
  const keys = [["project", projectId, "invitations"]];
  const resend = useAction(() => client.invitations.resend(projectId, id), {
    keys,
    toast: true,
    onSuccess: (made) => setLink(made.link),
  });
  const revoke = useAction(() => client.invitations.revoke(projectId, id), {
    keys,
    toast: true,
    done: `The invitation of ${email} was taken back.`,
  });
  return (
    <li className="list-row member">
      <Icon name="mail" className="faint" />
      <span className="grow">
        <span className="truncate block">{email}</span>
        <span className="small muted">
          Invited <Ago at={createdAt} />
        </span>
      </span>
      <RoleBadge role={role} />
      <Button small icon="link" busy={resend.isPending} onClick={() => resend.mutate(undefined)}>
        New link
      </Button>
      <Button small kind="quiet" busy={revoke.isPending} onClick={() => revoke.mutate(undefined)}>
        Take back
      </Button>
      {link && (
        <Dialog title={`A new link for ${email}`} onClose={() => setLink(undefined)}>
          <p className="muted">The old link has ended. This one is shown only now.</p>
          <CopyField label="Invitation link" value={link} />
          <div className="dialog-foot">
            <Button kind="primary" onClick={() => setLink(undefined)}>
              Done
            </Button>
          </div>
        </Dialog>
      )}
    </li>
  );
}
