import { useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect } from "react";
import { client } from "../data/client.js";
import { useUser } from "../data/session.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Loading, Notice } from "../ui/feedback.js";
import { Door } from "./door.js";
import { useFragmentToken } from "./fragment-token.js";
import { BrokenLink } from "./reset-password.js";

/** Verifying an address, from the link in a mail. */
export function VerifyEmail() {
  const token = useFragmentToken();
  const user = useUser();
  const { mutate, ...verify } = useMutation({
    mutationKey: ["verify-email"],
    mutationFn: async (given: string) => {
      await client.auth.verifyEmail(given);
      if (client.auth.user) await client.auth.me();
    },
  });
  useEffect(() => {
    if (token !== undefined) mutate(token);
  }, [token, mutate]);
  return (
    <Door
      title="Verify your address"
      foot={user ? <Link to="/projects">To your projects</Link> : <Link to="/sign-in">Sign in</Link>}
    >
      <div className="stack door-answer">
        {token === undefined && <BrokenLink />}
        {verify.isPending && <Loading />}
        {verify.isSuccess && <Notice tone="ok">Your address is verified. Thank you.</Notice>}
        <ErrorNotice error={verify.error} />
      </div>
    </Door>
  );
}
