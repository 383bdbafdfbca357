import { Link, useSearch } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { client } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { Button } from "../ui/button.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { faultOf, hasFaults } from "../ui/error-text.js";
import { TextField } from "../ui/field.js";
import { Door } from "./door.js";

/** Making an account. */
export function SignUp() {
  const search = useSearch({ from: "/door" });
  const [input, setInput] = useState({ name: "", email: "", password: "" });
  const signUp = useAction(() => client.auth.register(input));
  const field = (name: keyof typeof input) => ({
    name,
    value: input[name],
    required: true,
    error: faultOf(signUp.error, name),
    onChange: (event: { target: { value: string } }) => setInput({ ...input, [name]: event.target.value }),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    signUp.mutate(undefined);
  };
  return (
    <Door
      title="Make an account"
      about="It takes a minute. You can be invited to projects, and invite others."
      foot={
        <>
          You have one already?{" "}
          <Link to="/sign-in" search={search}>
            Sign in
          </Link>
        </>
      }
    >
      <form onSubmit={submit}>
        <TextField
          label="Your name"
          autoComplete="name"
          minLength={2}
          maxLength={100}
          autoFocus
          {...field("name")}
        />
        <TextField label="E-mail" type="email" autoComplete="username" {...field("email")} />
        <TextField
          label="Password"
          type="password"
          autoComplete="new-password"
          minLength={8}
          hint="At least 8 characters. A few words are better than one with signs."
          {...field("password")}
        />
        {!hasFaults(signUp.error) && <ErrorNotice error={signUp.error} />}
        <Button type="submit" kind="primary" busy={signUp.isPending}>
          Make the account
        </Button>
      </form>
    </Door>
  );
}
