import { useState } from "react";
import { Button } from "../ui/button.js";
import { CodeJobDialog } from "./code-job-dialog.js";

/** Hands in a job. */
export function NewJobMenu({ projectId }: { readonly projectId?: string }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button kind="primary" icon="play" onClick={() => setOpen(true)}>
        Run a program
      </Button>
      {open && (
        <CodeJobDialog {...(projectId === undefined ? {} : { projectId })} onClose={() => setOpen(false)} />
      )}
    </>
  );
}
