import type { Workspace, File as WorkspaceFile } from "atelier-client";
import { useRef, useState } from "react";
import { toasts } from "../data/client.js";
import { Button } from "../ui/button.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Empty, Loading } from "../ui/feedback.js";
import { bytes } from "../ui/time.js";
import { CodeEditor } from "./code-editor.js";
import { type RunHandle, RunPanel } from "./run-panel.js";
import { SaveState } from "./save-state.js";
import { useDownload } from "./transfers.js";
import { useLiveText } from "./use-live-text.js";

interface PaneProps {
  readonly workspace: Workspace;
  readonly path: string;
  /** As the list of files has it; undefined before the list is read, or when it is gone. */
  readonly file: WorkspaceFile | undefined;
  readonly files: readonly WorkspaceFile[];
  readonly writes: boolean;
  readonly onClose: () => void;
}

/** The open file: text to be edited together, or a download. */
export function FilePane(props: PaneProps) {
  return props.file?.kind === "binary" ? <BinaryPane {...props} /> : <TextPane {...props} />;
}

function BinaryPane({ workspace, path, file }: PaneProps) {
  const download = useDownload(workspace);
  return (
    <Empty
      icon="image"
      title={path}
      action={
        <Button icon="download" onClick={() => download.file(path)}>
          Download
        </Button>
      }
    >
      This is not a text{file ? `, and has ${bytes(file.size)}` : ""}. Upload a file of the same name to
      replace it.
    </Empty>
  );
}

function TextPane({ workspace, path, files, writes }: PaneProps) {
  const live = useLiveText(workspace.id, path);
  const [running, setRunning] = useState(true);
  const run = useRef<RunHandle>(null);
  if (live.error != null) return <ErrorNotice error={live.error} onRetry={live.retry} />;
  if (!live.text) return <Loading />;
  const { text, awareness } = live;
  return (
    <div className="pane">
      <div className="pane-bar">
        <span className="pane-path truncate grow">{path}</span>
        <SaveState state={live.state} />
        {!running && (
          <Button small icon="play" onClick={() => setRunning(true)}>
            Run
          </Button>
        )}
      </div>
      <div className="pane-main">
        <CodeEditor
          text={text}
          awareness={awareness}
          path={path}
          readOnly={!writes || live.state === "read-only"}
          onRun={() => {
            setRunning(true);
            run.current?.run();
          }}
          onTooMuch={(length) => toasts.show(`That is ${bytes(length)}; at most 4 MB can be put in at once.`)}
        />
      </div>
      {running && writes && (
        <RunPanel
          workspace={workspace}
          path={path}
          files={files}
          textOf={() => text.toJSON()}
          handle={run}
          onClose={() => setRunning(false)}
        />
      )}
    </div>
  );
}
