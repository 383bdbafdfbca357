import { Link } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { client } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { useUser } from "../data/session.js";
import { PageHead } from "../shell/page.js";
import { Button } from "../ui/button.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { faultOf, hasFaults } from "../ui/error-text.js";
import { Notice } from "../ui/feedback.js";
import { TextField } from "../ui/field.js";

/** Name, address and password. */
export function AccountPage() {
  const user = useUser();
  if (!user) return null;
  return (
    <>
      <PageHead
        title="Account"
        about={user.email}
        actions={
          <Link to="/account/devices" className="btn">
            Devices
          </Link>
        }
      />
      <div className="stack-l narrow">
        {!user.emailVerified && <Unverified />}
        <Profile key={user.version} name={user.name} />
        <Password />
      </div>
    </>
  );
}

function Unverified() {
  const resend = useAction(() => client.auth.resendVerification(), { toast: true });
  return (
    <Notice tone="warn">
      <p>
        <strong>Your address is not verified yet.</strong> Open the link in the mail we sent. On a server
        without mail it stands in the server's log.
      </p>
      <p className="notice-action">
        {resend.isSuccess ? (
          "Another mail is on its way."
        ) : (
          <Button small busy={resend.isPending} onClick={() => resend.mutate(undefined)}>
            Send it again
          </Button>
        )}
      </p>
    </Notice>
  );
}

function Profile({ name: before }: { readonly name: string }) {
  const [name, setName] = useState(before);
  const save = useAction(() => client.auth.updateMe({ name }), { done: "Your name was changed." });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate(undefined);
  };
  return (
    <section className="card" aria-labelledby="profile">
      <div className="card-head">
        <h2 id="profile">Profile</h2>
      </div>
      <form className="card-body stack" onSubmit={submit}>
        <TextField
          label="Name"
          hint="Others see it beside your cursor."
          autoComplete="name"
          required
          minLength={2}
          maxLength={100}
          value={name}
          error={faultOf(save.error, "name")}
          onChange={(event) => setName(event.target.value)}
        />
        {!hasFaults(save.error) && <ErrorNotice error={save.error} />}
        <div className="dialog-foot">
          <Button type="submit" kind="primary" busy={save.isPending} disabled={name === before}>
            Save
          </Button>
        </div>
      </form>
    </section>
  );
}

const EMPTY = { currentPassword: "", newPassword: "" };

function Password() {
  const [input, setInput] = useState(EMPTY);
  const save = useAction(() => client.auth.changePassword(input), {
    keys: [["devices"]],
    done: "Your password was changed, and other devices were signed out.",
    onSuccess: () => setInput(EMPTY),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate(undefined);
  };
  return (
    <section className="card" aria-labelledby="password">
      <div className="card-head">
        <h2 id="password">Password</h2>
      </div>
      <form className="card-body stack" onSubmit={submit}>
        <TextField
          label="Current password"
          type="password"
          autoComplete="current-password"
          required
          value={input.currentPassword}
          onChange={(event) => setInput({ ...input, currentPassword: event.target.value })}
        />
        <TextField
          label="New password"
          type="password"
          autoComplete="new-password"
          hint="At least 8 characters. Other devices are signed out."
          required
          minLength={8}
          value={input.newPassword}
          error={faultOf(save.error, "newPassword")}
          onChange={(event) => setInput({ ...input, newPassword: event.target.value })}
        />
        {!hasFaults(save.error) && <ErrorNotice error={save.error} />}
        <div className="dialog-foot">
          <Button type="submit" kind="primary" busy={save.isPending}>
            Change the password
          </Button>
        </div>
      </form>
    </section>
  );
}
