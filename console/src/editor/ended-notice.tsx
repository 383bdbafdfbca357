import type { AtelierError } from "atelier-client";
import { client } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { Button } from "../ui/button.js";
import { explain } from "../ui/error-text.js";
import { Notice } from "../ui/feedback.js";
import { saveAs } from "../ui/save-as.js";
import { nameOf } from "./file-tree-model.js";

/** A text that is not kept any more, whatever the reason: it says why, and how to keep what is on the screen. */
export function EndedNotice({
  workspaceId,
  path,
  error,
  textOf,
  onReopen,
  onClose,
}: {
  readonly workspaceId: string;
  readonly path: string;
  /** Undefined when the document is open but what was typed was refused. */
  readonly error: AtelierError | undefined;
  readonly textOf: () => string;
  readonly onReopen: () => void;
  readonly onClose: () => void;
}) {
  const again = useAction(() => client.files.write(workspaceId, path, textOf()), {
    keys: [["workspace", workspaceId, "files"]],
    toast: true,
    done: `${nameOf(path)} is back.`,
    onSuccess: onReopen,
  });
  const gone = error?.code === "not_found";
  const what = !error
    ? "You are a Viewer now. Your last words could not be saved."
    : gone
      ? "This file was deleted or moved by somebody else."
      : error.code === "forbidden"
        ? "Your access to this project was taken away."
        : explain(error).what;
  return (
    <div className="pane-notice">
      <Notice tone="warn">
        <p>
          <strong>{what}</strong> What you see is still here, on this page only.
        </p>
        <p className="notice-action row row-wrap">
          {gone && (
            <Button small kind="primary" busy={again.isPending} onClick={() => again.mutate(undefined)}>
              Bring it back
            </Button>
          )}
          {error && !gone && error.code !== "forbidden" && (
            <Button small icon="refresh" onClick={onReopen}>
              Open it again
            </Button>
          )}
          <Button
            small
            icon="download"
            onClick={() => saveAs(nameOf(path), new TextEncoder().encode(textOf()), "text/plain")}
          >
            Download the text
          </Button>
          {error && (
            <Button small kind="quiet" onClick={onClose}>
              Close
            </Button>
          )}
        </p>
      </Notice>
    </div>
  );
}
