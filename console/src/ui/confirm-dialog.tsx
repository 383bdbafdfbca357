import { type FormEvent, type ReactNode, useState } from "react";
import { Button } from "./button.js";
import { Dialog } from "./dialog.js";
import { ErrorNotice } from "./error-notice.js";
import { TextField } from "./field.js";

/** Asks before something that cannot be undone; `typed` has to be entered first where much would be lost. */
export function ConfirmDialog({
  title,
  action,
  typed,
  busy,
  error,
  onConfirm,
  onClose,
  children,
}: {
  readonly title: string;
  readonly action: string;
  readonly typed?: string;
  readonly busy: boolean;
  readonly error: unknown;
  readonly onConfirm: () => void;
  readonly onClose: () => void;
  readonly children: ReactNode;
}) {
  const [entered, setEntered] = useState("");
  const ready = typed === undefined || entered.trim() === typed;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (ready) onConfirm();
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form className="stack" onSubmit={submit}>
        <p>{children}</p>
        {typed !== undefined && (
          <TextField
            label={`Enter “${typed}” to go on`}
            autoFocus
            autoComplete="off"
            value={entered}
            onChange={(event) => setEntered(event.target.value)}
          />
        )}
        <ErrorNotice error={error} />
        <div className="dialog-foot">
          <Button kind="quiet" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" kind="danger" busy={busy} disabled={!ready}>
            {action}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
