/** Where a signed-in session is kept between page loads. Values are opaque; treat them as secrets. */
export interface TokenStore {
  get(): string | undefined | Promise<string | undefined>;
  set(value: string): void | Promise<void>;
  remove(): void | Promise<void>;
  /** Calls `listener` when somebody else (another tab) changed it; answers what ends that. */
  watch?(listener: () => void): () => void;
}

/** The part of `localStorage` that is used. */
export interface WebStorageLike {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** Kept for as long as the program runs. */
export function memoryStore(): TokenStore {
  let kept: string | undefined;
  return {
    get: () => kept,
    set: (value) => {
      kept = value;
    },
    remove: () => {
      kept = undefined;
    },
  };
}

/** Kept in `localStorage` or `sessionStorage`; tabs of one origin share it and hear of each other's changes. */
export function webStore(storage: WebStorageLike, key: string): TokenStore {
  return {
    get: () => storage.getItem(key) ?? undefined,
    set: (value) => storage.setItem(key, value),
    remove: () => storage.removeItem(key),
    watch(listener) {
      const heard = (event: { readonly key: string | null }) => {
        if (event.key === key || event.key === null) listener();
      };
      globalThis.addEventListener("storage", heard);
      return () => globalThis.removeEventListener("storage", heard);
    },
  };
}

/** `localStorage` in a page, memory elsewhere or where the browser forbids it. */
export function defaultStore(key: string): TokenStore {
  try {
    if (typeof document !== "undefined") return webStore(globalThis.localStorage, key);
  } catch {
    // Storage is blocked: the session lasts as long as the page.
  }
  return memoryStore();
}
