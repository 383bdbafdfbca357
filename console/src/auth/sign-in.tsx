import { Link, useSearch } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { client } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { endedReason } from "../data/session.js";
import { Button } from "../ui/button.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Notice } from "../ui/feedback.js";
import { TextField } from "../ui/field.js";
import { Door } from "./door.js";

const REASONS: Readonly<Record<string, string>> = {
  session_revoked: "This device was signed out. Sign in again to go on where you were.",
  session_expired: "You were away for a long time. Sign in again to go on where you were.",
  refresh_reused: "For your safety this device was signed out. Sign in again.",
};

/** Signing in. */
export function SignIn() {
  const search = useSearch({ from: "/door" });
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const signIn = useAction(() => client.auth.login({ email, password }));
  const reason = REASONS[endedReason() ?? ""];
  const submit = (event: FormEvent) => {
    event.preventDefault();
    signIn.mutate(undefined);
  };
  return (
    <Door
      title="Sign in"
      foot={
        <>
          New here?{" "}
          <Link to="/sign-up" search={search}>
            Make an account
          </Link>
        </>
      }
    >
      <form onSubmit={submit}>
        {reason && <Notice tone="info">{reason}</Notice>}
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
        <TextField
          label="Password"
          type="password"
          name="password"
          autoComplete="current-password"
          required
          value={password}
          onChange={(event) => setPassword(event.target.value)}
        />
        <ErrorNotice error={signIn.error} />
        <Button type="submit" kind="primary" busy={signIn.isPending}>
          Sign in
        </Button>
        <Link to="/forgot-password">Forgotten your password?</Link>
      </form>
    </Door>
  );
}
