import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useState } from "react";
import { useLive } from "../data/live-context.js";
import { queries } from "../data/queries.js";
import { PageHead } from "../shell/page.js";
import { Button } from "../ui/button.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Skeleton } from "../ui/feedback.js";
import { InvitationList } from "./invitation-list.js";
import { InviteDialog } from "./invite-dialog.js";
import { MemberRow } from "./member-row.js";

/** Who takes part, in which role, and who is here now. */
export function MembersPage() {
  const { projectId } = useParams({ from: "/app/projects/$projectId/members" });
  const [inviting, setInviting] = useState(false);
  const project = useQuery(queries.project(projectId));
  const members = useQuery(queries.members(projectId));
  const { presence } = useLive();
  const isOwner = project.data?.role === "owner";
  const here = new Set(presence.map(({ userId }) => userId));
  return (
    <>
      <PageHead
        title="Members"
        about="Owners decide who takes part and in which role. A changed role holds at once, also in open files."
        actions={
          isOwner && (
            <Button kind="primary" icon="plus" onClick={() => setInviting(true)}>
              Invite
            </Button>
          )
        }
      />
      <div className="stack-l">
        {members.error && <ErrorNotice error={members.error} onRetry={() => void members.refetch()} />}
        <section className="card" aria-label="Members">
          {!members.data && !members.error && <Skeleton />}
          <ul className="list">
            {members.data?.map((member) => (
              <MemberRow
                key={member.userId}
                projectId={projectId}
                member={member}
                isHere={here.has(member.userId)}
                mayManage={isOwner}
              />
            ))}
          </ul>
        </section>
        {isOwner && <InvitationList projectId={projectId} />}
      </div>
      {inviting && <InviteDialog projectId={projectId} onClose={() => setInviting(false)} />}
    </>
  );
}
