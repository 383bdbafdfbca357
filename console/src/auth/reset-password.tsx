import { Link } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { client } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { Button } from "../ui/button.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { faultOf } from "../ui/error-text.js";
import { Notice } from "../ui/feedback.js";
import { TextField } from "../ui/field.js";
import { Door } from "./door.js";
import { useFragmentToken } from "./fragment-token.js";

/** Choosing a new password, from the link in a mail. */
export function ResetPassword() {
  const token = useFragmentToken();
  const [password, setPassword] = useState("");
  const reset = useAction(() => client.auth.resetPassword({ token: token ?? "", password }));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    reset.mutate(undefined);
  };
  const fault = faultOf(reset.error, "password");
  return (
    <Door
      title="Choose a new password"
      about="Every device is signed out when you do."
      foot={<Link to="/sign-in">Back to signing in</Link>}
    >
      {token === undefined ? (
        <BrokenLink />
      ) : reset.isSuccess ? (
        <Notice tone="ok">
          Your password was changed. <Link to="/sign-in">Sign in with it</Link>.
        </Notice>
      ) : (
        <form onSubmit={submit}>
          <TextField
            label="New password"
            type="password"
            name="password"
            autoComplete="new-password"
            required
            minLength={8}
            autoFocus
            hint="At least 8 characters."
            error={fault}
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
          {!fault && <ErrorNotice error={reset.error} />}
          <Button type="submit" kind="primary" busy={reset.isPending}>
            Change the password
          </Button>
        </form>
      )}
    </Door>
  );
}

/** A link that lost its token on the way. */
export function BrokenLink() {
  return (
    <Notice tone="warn">
      This link is not whole. Copy all of it from the mail, up to its last letter, or ask for a new one.
    </Notice>
  );
}
