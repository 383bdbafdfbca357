import { useQueryClient } from "@tanstack/react-query";
import type { Workspace, File as WorkspaceFile } from "atelier-client";
import { type ReactNode, useState } from "react";
import { client, toasts } from "../data/client.js";
import { useAction } from "../data/mutate.js";
import { ConfirmDialog } from "../ui/confirm-dialog.js";
import { saveAs } from "../ui/save-as.js";
import { nameOf } from "./file-tree-model.js";

/** Uploads files one after the other; asks before it replaces any. */
export function useUpload(
  workspaceId: string,
  files: readonly WorkspaceFile[],
): {
  readonly begin: (chosen: readonly File[]) => void;
  readonly progress: string | undefined;
  readonly question: ReactNode;
} {
  const queryClient = useQueryClient();
  const [progress, setProgress] = useState<string>();
  const [waiting, setWaiting] = useState<readonly File[]>();
  const taken = new Set(files.map(({ path }) => path));

  const send = async (chosen: readonly File[]) => {
    let sent = 0;
    for (const file of chosen) {
      setProgress(`Uploading ${file.name} (${sent + 1} of ${chosen.length}) …`);
      try {
        await client.files.write(workspaceId, file.name, file, { contentType: await typeOf(file) });
        sent += 1;
      } catch (error) {
        toasts.fail(error);
      }
    }
    setProgress(undefined);
    await queryClient.invalidateQueries({ queryKey: ["workspace", workspaceId, "files"] });
    if (sent > 0)
      toasts.show(sent === 1 ? `${chosen[0]?.name ?? "The file"} is here.` : `${sent} files are here.`);
  };

  const begin = (chosen: readonly File[]) => {
    if (chosen.length === 0) return;
    if (chosen.some(({ name }) => taken.has(name))) setWaiting(chosen);
    else void send(chosen);
  };
  const replaced = waiting?.filter(({ name }) => taken.has(name)).map(({ name }) => name) ?? [];
  const question = waiting && (
    <ConfirmDialog
      title={replaced.length === 1 ? `Replace ${replaced[0]}?` : `Replace ${replaced.length} files?`}
      action="Replace"
      busy={false}
      error={undefined}
      onConfirm={() => {
        setWaiting(undefined);
        void send(waiting);
      }}
      onClose={() => setWaiting(undefined)}
    >
      {replaced.join(", ")} {replaced.length === 1 ? "is" : "are"} there already. The content is replaced for
      everybody; what was there stays in the history of text files.
    </ConfirmDialog>
  );
  return { begin, progress, question };
}

const SNIFFED_BYTES = 4_096;

/** Text when it reads as UTF-8 without a zero, whatever the browser thinks of its ending; else what the browser says. */
async function typeOf(file: File): Promise<string> {
  const head = new Uint8Array(await file.slice(0, SNIFFED_BYTES).arrayBuffer());
  if (!head.includes(0)) {
    try {
      new TextDecoder("utf-8", { fatal: true }).decode(head, { stream: true });
      return "text/plain; charset=utf-8";
    } catch {
      // Some other encoding, or no text.
    }
  }
  return file.type || "application/octet-stream";
}

/** Downloads a file, or all of them as a zip. */
export function useDownload(workspace: Workspace): {
  readonly file: (path: string) => void;
  readonly archive: () => void;
  readonly busy: boolean;
} {
  const file = useAction(
    async (path: string) => {
      const { bytes, contentType } = await client.files.readRaw(workspace.id, path);
      saveAs(nameOf(path), bytes, contentType);
    },
    { toast: true },
  );
  const archive = useAction(
    async () => {
      const { bytes } = await client.call("exportArchive", { params: { workspaceId: workspace.id } });
      saveAs(`${workspace.name.replaceAll(/[\\/:*?"<>|]/g, "-")}.zip`, bytes, "application/zip");
    },
    { toast: true },
  );
  return { file: file.mutate, archive: () => archive.mutate(undefined), busy: archive.isPending };
}

/** Takes the files of a zip into a workspace: all of them, or none. */
export function useImport(workspaceId: string): {
  readonly begin: (zip: File) => void;
  readonly busy: boolean;
} {
  const take = useAction(
    async (zip: File) =>
      (
        await client.call("importArchive", {
          params: { workspaceId },
          body: zip,
          contentType: "application/zip",
        })
      ).import,
    {
      keys: [["workspace", workspaceId]],
      toast: true,
      done: ({ created, replaced, unchanged }) =>
        `Imported: ${created} new, ${replaced} replaced, ${unchanged} as they were.`,
    },
  );
  return { begin: take.mutate, busy: take.isPending };
}
