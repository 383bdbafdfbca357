import type { AtelierError } from "atelier-client";
import { type LiveDocument, openDocument, type SaveState } from "atelier-client/document";
import { useEffect, useState } from "react";
import { client } from "../data/client.js";

/** An open text as a page shows it. */
export interface LiveText {
  readonly document: LiveDocument | undefined;
  /** Its content is here. */
  readonly ready: boolean;
  readonly state: SaveState;
  readonly readOnly: boolean;
  readonly unsaved: boolean;
  /** Why it will not connect again. */
  readonly ended: AtelierError | undefined;
}

const NOTHING: LiveText = {
  document: undefined,
  ready: false,
  state: "loading",
  readOnly: true,
  unsaved: false,
  ended: undefined,
};

/** Opens a file for as long as it is shown; `attempt` opens it anew when it changes. */
export function useLiveText(workspaceId: string, path: string, attempt: number): LiveText {
  const [live, setLive] = useState(NOTHING);
  useEffect(() => {
    const document = openDocument(client, workspaceId, path);
    let shown = true;
    let ready = false;
    const show = () => {
      if (!shown) return;
      const { state, readOnly, unsaved, closed, error } = document;
      setLive({ document, ready, state, readOnly, unsaved, ended: closed ? error : undefined });
    };
    setLive({ ...NOTHING, document });
    document.ready().then(
      () => {
        ready = true;
        show();
      },
      () => show(),
    );
    const offs = [
      document.subscribe("state", show),
      document.subscribe("access", show),
      document.subscribe("error", show),
    ];
    const warn = (event: BeforeUnloadEvent) => {
      if (document.unsaved && document.state !== "offline") event.preventDefault();
    };
    window.addEventListener("beforeunload", warn);
    return () => {
      shown = false;
      for (const off of offs) off();
      window.removeEventListener("beforeunload", warn);
      document.close();
    };
  }, [workspaceId, path, attempt]);
  return live;
}
