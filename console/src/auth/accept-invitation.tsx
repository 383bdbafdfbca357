import { Link, useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";
import { client } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { signOut, useUser } from "../data/session.js";
import { Button } from "../ui/button.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Notice } from "../ui/feedback.js";
import { Door } from "./door.js";
import { useFragmentToken } from "./fragment-token.js";
import { forgetInvitation, keepInvitation, keptInvitation } from "./kept-invitation.js";
import { BrokenLink } from "./reset-password.js";

const BACK = { back: "/invitations/accept" };

/** Taking up an invitation; whoever is not signed in does that first and comes back. */
export function AcceptInvitation() {
  const found = useFragmentToken();
  const token = found ?? keptInvitation();
  const user = useUser();
  const navigate = useNavigate();
  useEffect(() => {
    if (found !== undefined) keepInvitation(found);
  }, [found]);
  const accept = useAction(() => client.invitations.accept(token ?? ""), {
    keys: [["projects"]],
    onSuccess: (project) => {
      forgetInvitation();
      void navigate({ to: "/projects/$projectId", params: { projectId: project.id } });
    },
  });
  return (
    <Door title="You are invited" about="Somebody wants to work with you on a project.">
      <div className="stack door-answer">
        {token === undefined ? (
          <BrokenLink />
        ) : user ? (
          <>
            <p>
              You are signed in as <strong>{user.email}</strong>.
            </p>
            <ErrorNotice error={accept.error} />
            <Button kind="primary" busy={accept.isPending} onClick={() => accept.mutate(undefined)}>
              Join the project
            </Button>
            <Button kind="quiet" onClick={() => void signOut()}>
              Use another account
            </Button>
          </>
        ) : (
          <>
            <Notice tone="info">
              Sign in, or make an account, with the address the invitation was sent to.
            </Notice>
            <Link to="/sign-up" search={BACK} className="btn btn-primary">
              Make an account
            </Link>
            <Link to="/sign-in" search={BACK} className="btn">
              Sign in
            </Link>
          </>
        )}
      </div>
    </Door>
  );
}
