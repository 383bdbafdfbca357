import type { FileVersion, Workspace, File as WorkspaceFile } from "atelier-client";
import { useRef, useState } from "react";
import { toasts } from "../data/client.js";
import { Button } from "../ui/button.js";
import { Empty, Loading } from "../ui/feedback.js";
import { bytes } from "../ui/time.js";
import { CodeEditor } from "./code-editor.js";
import { EndedNotice } from "./ended-notice.js";
import { HistoryPanel } from "./history-panel.js";
import { PeopleHere } from "./people-here.js";
import { type RunHandle, RunPanel } from "./run-panel.js";
import { SaveState } from "./save-state.js";
import { useDownload } from "./transfers.js";
import { useLiveText } from "./use-live-text.js";
import { VersionView } from "./version-view.js";

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

function TextPane({ workspace, path, files, writes, onClose }: PaneProps) {
  const [attempt, setAttempt] = useState(0);
  const live = useLiveText(workspace.id, path, attempt);
  const [running, setRunning] = useState(() => innerWidth > 860);
  const [history, setHistory] = useState(false);
  const [version, setVersion] = useState<FileVersion>();
  const run = useRef<RunHandle>(null);
  const { document, ready, state, readOnly, unsaved, ended } = live;
  if (!document || (!ready && !ended)) {
    return state === "offline" ? (
      <Empty icon="cloud-off" title="No connection">
        This file is not on this device. It opens by itself as soon as the service can be reached.
      </Empty>
    ) : (
      <Loading />
    );
  }
  const textOf = () => document.text.toJSON();
  const reopen = () => setAttempt(attempt + 1);
  return (
    <div className={history ? "pane pane-history" : "pane"}>
      <div className="pane-bar">
        <span className="pane-path truncate grow">{path}</span>
        <PeopleHere awareness={document.awareness} />
        <SaveState state={state} readOnly={readOnly && !ended} unsaved={unsaved} />
        <Button
          small
          kind="quiet"
          icon="history"
          aria-pressed={history}
          onClick={() => {
            setHistory(!history);
            setVersion(undefined);
          }}
        >
          History
        </Button>
        {!running && writes && (
          <Button small icon="play" onClick={() => setRunning(true)}>
            Run
          </Button>
        )}
      </div>
      {(ended || (readOnly && unsaved)) && (
        <EndedNotice
          workspaceId={workspace.id}
          path={path}
          error={ended}
          textOf={textOf}
          onReopen={reopen}
          onClose={onClose}
        />
      )}
      <div className={version ? "pane-main history-shown" : "pane-main"}>
        {version && (
          <VersionView
            workspaceId={workspace.id}
            version={version}
            writes={writes}
            onClose={() => setVersion(undefined)}
          />
        )}
        {ready && (
          <CodeEditor
            hidden={version !== undefined}
            text={document.text}
            awareness={document.awareness}
            path={path}
            readOnly={readOnly || ended !== undefined}
            onRun={() => {
              if (!writes) return;
              setRunning(true);
              run.current?.run();
            }}
            onTooMuch={(length) =>
              toasts.show(
                `That is ${bytes(length)}; at most 4 MB can be put in at once. Upload it as a file instead.`,
              )
            }
          />
        )}
        {history && (
          <HistoryPanel
            workspaceId={workspace.id}
            projectId={workspace.projectId}
            path={path}
            writes={writes}
            shown={version?.id}
            onShow={setVersion}
            onClose={() => {
              setHistory(false);
              setVersion(undefined);
            }}
          />
        )}
      </div>
      {running && writes && (
        <RunPanel
          workspace={workspace}
          path={path}
          files={files}
          textOf={textOf}
          handle={run}
          onClose={() => setRunning(false)}
        />
      )}
    </div>
  );
}
