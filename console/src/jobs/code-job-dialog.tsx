import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { client } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { queries } from "../data/queries.js";
import { Button } from "../ui/button.js";
import { Dialog } from "../ui/dialog.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { faultOf, hasFaults } from "../ui/error-text.js";
import { SelectField, TextArea, TextField } from "../ui/field.js";
import { words } from "./words.js";

/** Runs a program that is not in a workspace. */
export function CodeJobDialog({
  projectId,
  onClose,
}: {
  readonly projectId?: string;
  readonly onClose: () => void;
}) {
  const navigate = useNavigate();
  const languages = useQuery(queries.languages());
  const [input, setInput] = useState({ language: "javascript", code: "", stdin: "", args: "" });
  const submit = useAction(
    () =>
      client.jobs.submit({
        type: "code_execution",
        projectId,
        payload: { language: input.language, code: input.code, stdin: input.stdin, args: words(input.args) },
      }),
    {
      keys: [["jobs"]],
      onSuccess: ({ id }) => {
        onClose();
        void navigate({ to: "/jobs/$jobId", params: { jobId: id } });
      },
    },
  );
  const set = (name: keyof typeof input) => (event: { target: { value: string } }) =>
    setInput({ ...input, [name]: event.target.value });
  return (
    <Dialog title="Run a program" onClose={onClose}>
      <form
        className="stack"
        onSubmit={(event: FormEvent) => {
          event.preventDefault();
          submit.mutate(undefined);
        }}
      >
        <ErrorNotice error={languages.error} onRetry={() => void languages.refetch()} />
        <SelectField
          label="Language"
          value={input.language}
          onChange={set("language")}
          error={faultOf(submit.error, "payload/language")}
        >
          {(languages.data ?? []).map(({ id, available }) => (
            <option key={id} value={id} disabled={!available}>
              {available ? id : `${id} (not on this server)`}
            </option>
          ))}
        </SelectField>
        <TextArea
          label="Program"
          mono
          required
          autoFocus
          rows={8}
          spellCheck={false}
          value={input.code}
          onChange={set("code")}
          error={faultOf(submit.error, "payload/code")}
        />
        <TextArea
          label="Standard input"
          mono
          rows={2}
          spellCheck={false}
          value={input.stdin}
          onChange={set("stdin")}
        />
        <TextField label="Arguments" value={input.args} onChange={set("args")} hint="Separated by spaces." />
        {!hasFaults(submit.error) && <ErrorNotice error={submit.error} />}
        <div className="dialog-foot">
          <Button kind="quiet" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" kind="primary" icon="play" busy={submit.isPending}>
            Run
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
