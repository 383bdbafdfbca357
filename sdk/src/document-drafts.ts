/** What was typed and is not kept by the service yet, on this device. */
export interface Drafts {
  /** Undefined when there is nothing under this name, or nothing can be kept here. */
  load(name: string): Promise<Uint8Array | undefined>;
  save(name: string, state: Uint8Array): Promise<void>;
  remove(name: string): Promise<void>;
}

const DATABASE = "atelier-drafts";
const STORE = "drafts";

/** Drafts in IndexedDB; where there is none (Node.js, a private window of some browsers) nothing is kept, and nothing fails. */
export function createDrafts(): Drafts {
  let opening: Promise<IDBDatabase | undefined> | undefined;

  function open(): Promise<IDBDatabase | undefined> {
    opening ??= new Promise((resolve) => {
      try {
        const request = indexedDB.open(DATABASE, 1);
        request.onupgradeneeded = () => request.result.createObjectStore(STORE);
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => resolve(undefined);
        request.onblocked = () => resolve(undefined);
      } catch {
        resolve(undefined);
      }
    });
    return opening;
  }

  async function run<T>(
    mode: IDBTransactionMode,
    work: (store: IDBObjectStore) => IDBRequest<T>,
  ): Promise<T | undefined> {
    const database = await open();
    if (!database) return undefined;
    return new Promise((resolve) => {
      try {
        const transaction = database.transaction(STORE, mode);
        const request = work(transaction.objectStore(STORE));
        transaction.oncomplete = () => resolve(request.result);
        transaction.onabort = () => resolve(undefined);
      } catch {
        resolve(undefined);
      }
    });
  }

  return {
    async load(name) {
      const held: unknown = await run<unknown>("readonly", (store) => store.get(name));
      return held instanceof Uint8Array ? held : undefined;
    },
    async save(name, state) {
      await run("readwrite", (store) => store.put(state, name));
    },
    async remove(name) {
      await run("readwrite", (store) => store.delete(name));
    },
  };
}
