import { useMutation } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";
import { client } from "../data/client.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Loading } from "../ui/feedback.js";
import { Door } from "./door.js";
import { useFragmentToken } from "./fragment-token.js";
import { BrokenLink } from "./reset-password.js";

/** Signing in with a link that the service printed when it was started. */
export function SignInLink() {
  const token = useFragmentToken();
  const navigate = useNavigate();
  const { mutate, isPending, error } = useMutation({
    mutationKey: ["sign-in-link"],
    mutationFn: (given: string) => client.auth.loginByLink(given),
    onSuccess: () => void navigate({ to: "/projects", replace: true }),
  });
  useEffect(() => {
    if (token !== undefined) mutate(token);
  }, [token, mutate]);
  return (
    <Door title="Welcome" foot={error ? <Link to="/sign-in">Sign in with a password</Link> : undefined}>
      <div className="stack door-answer">
        {token === undefined && <BrokenLink />}
        {isPending && (
          <>
            <Loading />
            <p className="muted">Preparing the demo …</p>
          </>
        )}
        {error && (
          <>
            <ErrorNotice error={error} />
            <p className="muted">Start the service again for new links; they are printed when it is ready.</p>
          </>
        )}
      </div>
    </Door>
  );
}
