import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import { client } from "../data/client.js";
import type { SaveStateName } from "./save-state.js";

/** An open text as the editor needs it. */
export interface LiveText {
  readonly text: Y.Text | undefined;
  readonly awareness: Awareness;
  readonly state: SaveStateName;
  readonly error: unknown;
  readonly retry: () => void;
}

/** The text of a file, to be read. */
export function useLiveText(workspaceId: string, path: string): LiveText {
  const [doc] = useState(() => new Y.Doc());
  const [awareness] = useState(() => new Awareness(doc));
  const [filled, setFilled] = useState(false);
  const read = useQuery({
    queryKey: ["workspace", workspaceId, "text", path],
    queryFn: ({ signal }) => client.files.read(workspaceId, path, { signal }),
  });
  useEffect(() => {
    if (read.data === undefined) return;
    const text = doc.getText("content");
    doc.transact(() => {
      text.delete(0, text.length);
      text.insert(0, read.data);
    });
    setFilled(true);
  }, [doc, read.data]);
  return {
    text: filled ? doc.getText("content") : undefined,
    awareness,
    state: "read-only",
    error: read.error,
    retry: () => void read.refetch(),
  };
}
