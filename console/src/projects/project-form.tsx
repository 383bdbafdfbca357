import { type FormEvent, useState } from "react";
import { Button } from "../ui/button.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { faultOf, hasFaults } from "../ui/error-text.js";
import { TextArea, TextField } from "../ui/field.js";

/** What a project is called and is for. */
export interface ProjectInput {
  readonly name: string;
  readonly description: string | null;
}

/** The form of a project, new or changed. */
export function ProjectForm({
  initial,
  action,
  busy,
  error,
  onSubmit,
  onCancel,
}: {
  readonly initial?: ProjectInput;
  readonly action: string;
  readonly busy: boolean;
  readonly error: unknown;
  readonly onSubmit: (input: ProjectInput) => void;
  readonly onCancel?: () => void;
}) {
  const [name, setName] = useState(initial?.name ?? "");
  const [description, setDescription] = useState(initial?.description ?? "");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSubmit({ name, description: description.trim() === "" ? null : description });
  };
  return (
    <form className="stack" onSubmit={submit}>
      <TextField
        label="Name"
        required
        minLength={3}
        maxLength={100}
        autoFocus={!initial}
        placeholder="Weather station"
        value={name}
        error={faultOf(error, "name")}
        onChange={(event) => setName(event.target.value)}
      />
      <TextArea
        label="What is it for?"
        hint="A sentence for those you invite. You may leave it out."
        maxLength={500}
        value={description}
        error={faultOf(error, "description")}
        onChange={(event) => setDescription(event.target.value)}
      />
      {!hasFaults(error) && <ErrorNotice error={error} />}
      <div className="dialog-foot">
        {onCancel && (
          <Button kind="quiet" onClick={onCancel}>
            Cancel
          </Button>
        )}
        <Button type="submit" kind="primary" busy={busy}>
          {action}
        </Button>
      </div>
    </form>
  );
}
