import { useQuery } from "@tanstack/react-query";
import type { Workspace, File as WorkspaceFile } from "atelier-client";
import { type RefObject, useEffect, useImperativeHandle, useState } from "react";
import { toasts } from "../data/client.js";
import { queries } from "../data/queries.js";
import { JobOutput } from "../jobs/job-output.js";
import { RunSummary } from "../jobs/job-result.js";
import { StatusBadge } from "../jobs/job-status.js";
import { useJobRun } from "../jobs/use-job-run.js";
import { words } from "../jobs/words.js";
import { Button, IconButton } from "../ui/button.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { TextArea, TextField } from "../ui/field.js";
import { endingOf } from "./languages.js";
import { programOf } from "./program.js";

/** Starts a run from elsewhere, such as a key. */
export interface RunHandle {
  run(): void;
}

/** Runs the open file, with what it reads, and shows what it says while it runs. */
export function RunPanel({
  workspace,
  path,
  files,
  textOf,
  handle,
  onClose,
}: {
  readonly workspace: Workspace;
  readonly path: string;
  readonly files: readonly WorkspaceFile[];
  /** The text of the open file as it is now. */
  readonly textOf: () => string;
  readonly handle: RefObject<RunHandle | null>;
  readonly onClose: () => void;
}) {
  const languages = useQuery(queries.languages());
  const usual = languages.data?.find(
    ({ extension, aliases }) => extension === endingOf(path) || aliases.includes(endingOf(path)),
  );
  const [chosen, setChosen] = useState<string>();
  const [view, setView] = useState<"output" | "input">("output");
  const [stdin, setStdin] = useState("");
  const [args, setArgs] = useState("");
  const { job, entries, active, error, start, stop } = useJobRun();
  const [gathering, setGathering] = useState(false);
  const language = languages.data?.find(({ id }) => id === (chosen ?? usual?.id));
  useEffect(() => setChosen(undefined), [path]);

  const run = async () => {
    if (!language || active || gathering) return;
    setView("output");
    setGathering(true);
    try {
      const program = await programOf({ workspaceId: workspace.id, path, files, text: textOf(), language });
      start({
        type: "code_execution",
        projectId: workspace.projectId,
        workspaceId: workspace.id,
        payload: { language: language.id, ...program, stdin, args: words(args) },
      });
    } catch (problem) {
      toasts.fail(problem);
    } finally {
      setGathering(false);
    }
  };
  useImperativeHandle(handle, () => ({ run: () => void run() }));

  return (
    <section className="run" aria-label="Run">
      <div className="run-head">
        {active ? (
          <Button
            small
            icon="stop"
            onClick={() => void stop().catch((problem: unknown) => toasts.fail(problem))}
          >
            Stop
          </Button>
        ) : (
          <Button
            small
            kind="primary"
            icon="play"
            busy={gathering}
            disabled={!language?.available}
            onClick={() => void run()}
          >
            Run
          </Button>
        )}
        <select
          className="input input-small run-language"
          aria-label="Language"
          value={language?.id ?? ""}
          onChange={(event) => setChosen(event.target.value)}
        >
          {!language && <option value="">Choose a language</option>}
          {languages.data?.map(({ id, available }) => (
            <option key={id} value={id} disabled={!available}>
              {available ? id : `${id} (not on this server)`}
            </option>
          ))}
        </select>
        <div className="segments" role="tablist" aria-label="Run">
          {(["output", "input"] as const).map((each) => (
            <button
              key={each}
              type="button"
              role="tab"
              className="segment"
              aria-selected={view === each}
              onClick={() => setView(each)}
            >
              {each === "output" ? "Output" : "Input"}
            </button>
          ))}
        </div>
        <span className="push row">
          {job && <StatusBadge status={job.status} />}
          <IconButton icon="x" label="Close the run panel" small onClick={onClose} />
        </span>
      </div>
      {view === "input" ? (
        <div className="run-body card-body stack">
          <TextArea
            label="Standard input"
            mono
            spellCheck={false}
            placeholder="What the program reads"
            value={stdin}
            onChange={(event) => setStdin(event.target.value)}
          />
          <TextField
            label="Arguments"
            hint="Separated by spaces; quotes keep words together."
            spellCheck={false}
            value={args}
            onChange={(event) => setArgs(event.target.value)}
          />
        </div>
      ) : (
        <div className="run-body">
          {error != null && <ErrorNotice error={error} onRetry={() => void run()} />}
          <JobOutput
            entries={entries}
            label="Output of the run"
            placeholder={
              active
                ? "It has said nothing yet …"
                : "Press Run, or Ctrl+Enter in the editor. What the program says comes here."
            }
          />
          {job?.type === "code_execution" && job.result && !active && <RunSummary result={job.result} />}
          {job?.error && !active && !job.result && (
            <p className="card-body field-error">{job.error.message}</p>
          )}
        </div>
      )}
    </section>
  );
}
