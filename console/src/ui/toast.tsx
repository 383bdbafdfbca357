import { useSyncExternalStore } from "react";
import { IconButton } from "./button.js";
import { explain } from "./error-text.js";
import { Icon } from "./icon.js";

interface Toast {
  readonly id: number;
  readonly tone: "ok" | "danger";
  readonly text: string;
}

/** Short messages at the corner of the page. */
export interface Toasts {
  show(text: string): void;
  fail(error: unknown): void;
  dismiss(id: number): void;
  subscribe(listener: () => void): () => void;
  list(): readonly Toast[];
}

const LIFE_MS = 5_000;
const ERROR_LIFE_MS = 12_000;
const MOST = 4;

/** Holds the messages of one page. */
export function createToasts(): Toasts {
  let toasts: readonly Toast[] = [];
  let next = 1;
  const listeners = new Set<() => void>();
  const change = (list: readonly Toast[]) => {
    toasts = list;
    for (const listener of listeners) listener();
  };
  const add = (tone: Toast["tone"], text: string, life: number) => {
    const id = next++;
    change([...toasts.filter((toast) => toast.text !== text), { id, tone, text }].slice(-MOST));
    setTimeout(() => change(toasts.filter((toast) => toast.id !== id)), life);
  };
  return {
    show: (text) => add("ok", text, LIFE_MS),
    fail(error) {
      const { what, advice } = explain(error);
      add("danger", `${what} ${advice}`, ERROR_LIFE_MS);
    },
    dismiss: (id) => change(toasts.filter((toast) => toast.id !== id)),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    list: () => toasts,
  };
}

/** Shows them; they are read out as they come. */
export function ToastList({ toasts }: { readonly toasts: Toasts }) {
  const list = useSyncExternalStore(toasts.subscribe, toasts.list);
  return (
    <div className="toasts" role="status" aria-live="polite">
      {list.map(({ id, tone, text }) => (
        <div key={id} className={`notice toast notice-${tone}`}>
          <Icon name={tone === "ok" ? "check" : "alert"} />
          <span className="grow">{text}</span>
          <IconButton icon="x" label="Dismiss" small onClick={() => toasts.dismiss(id)} />
        </div>
      ))}
    </div>
  );
}
