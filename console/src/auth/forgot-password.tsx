import { Link } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { client } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { Button } from "../ui/button.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Notice } from "../ui/feedback.js";
import { TextField } from "../ui/field.js";
import { Door } from "./door.js";

/** Asking for a mail to choose a new password. */
export function ForgotPassword() {
  const [email, setEmail] = useState("");
  const ask = useAction(() => client.auth.forgotPassword(email));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    ask.mutate(undefined);
  };
  return (
    <Door
      title="Choose a new password"
      about="We send a link to your address. It works once, for 30 minutes."
      foot={<Link to="/sign-in">Back to signing in</Link>}
    >
      <form onSubmit={submit}>
        <TextField
          label="E-mail"
          type="email"
          name="email"
          autoComplete="username"
          required
          autoFocus
          value={email}
          onChange={(event) => setEmail(event.target.value)}
        />
        {ask.isSuccess && (
          <Notice tone="ok">
            If there is an account with this address, a mail is on its way. On a server without mail the link
            stands in its log.
          </Notice>
        )}
        <ErrorNotice error={ask.error} />
        <Button type="submit" kind="primary" busy={ask.isPending}>
          Send the link
        </Button>
      </form>
    </Door>
  );
}
