/** Functions that are told values, in the order in which they were added. */
export interface Listeners<Value> {
  /** Answers what takes the listener away again. */
  add(listener: (value: Value) => void): () => void;
  tell(value: Value): void;
}

/** Listeners of one thing. One that throws stops neither the others nor us: its error is reported as uncaught. */
export function createListeners<Value>(): Listeners<Value> {
  let entries: readonly { readonly listener: (value: Value) => void }[] = [];
  return {
    add(listener) {
      const entry = { listener };
      entries = [...entries, entry];
      return () => {
        entries = entries.filter((each) => each !== entry);
      };
    },
    tell(value) {
      for (const { listener } of entries) {
        try {
          listener(value);
        } catch (error) {
          setTimeout(() => {
            throw error;
          });
        }
      }
    },
  };
}
