import { type KeyboardEvent, useEffect, useRef } from "react";
import { IconButton } from "../ui/button.js";
import { Icon } from "../ui/icon.js";
import { nameOf } from "./file-tree-model.js";

/** The open files. */
export function EditorTabs({
  paths,
  active,
  onOpen,
  onClose,
  onFiles,
}: {
  readonly paths: readonly string[];
  readonly active: string | undefined;
  readonly onOpen: (path: string) => void;
  readonly onClose: (path: string) => void;
  /** On a narrow screen: shows the files, or hides them. */
  readonly onFiles: () => void;
}) {
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    list.current
      ?.querySelector('[aria-selected="true"]')
      ?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [active]);
  const onKey = (event: KeyboardEvent, index: number) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    const path = paths[index];
    if (event.key === "Delete" && path) return onClose(path);
    const next = paths[(index + step + paths.length) % paths.length];
    if (step === 0 || !next) return;
    event.preventDefault();
    onOpen(next);
    list.current?.querySelectorAll<HTMLElement>("[role=tab]")[paths.indexOf(next)]?.focus();
  };
  return (
    <div className="tabs">
      <IconButton icon="folder" label="Files" small className="files-button" onClick={onFiles} />
      <div className="tabs-list" role="tablist" aria-label="Open files" ref={list}>
        {paths.map((path, index) => (
          <button
            key={path}
            type="button"
            role="tab"
            id={`tab-${index}`}
            aria-selected={path === active}
            tabIndex={path === active || (active === undefined && index === 0) ? 0 : -1}
            title={path}
            className="tab"
            onClick={() => onOpen(path)}
            onAuxClick={(event) => event.button === 1 && onClose(path)}
            onKeyDown={(event) => onKey(event, index)}
          >
            <Icon name="file" />
            <span className="truncate">{nameOf(path)}</span>
            {/* For the mouse; the keyboard closes with Delete. */}
            <span
              className="tab-close"
              aria-hidden="true"
              title="Close"
              onClick={(event) => {
                event.stopPropagation();
                onClose(path);
              }}
            >
              <Icon name="x" />
            </span>
          </button>
        ))}
      </div>
    </div>
  );
}
