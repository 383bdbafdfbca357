import { v7 } from "uuid";
import { type Breakage, USER } from "./resume-model.js";

/** The builds the model must not let pass. */
export const BREAKAGES: readonly Breakage[] = [
  {
    name: "leaves holes: a read of the log misses its first entry",
    log: (log) => ({
      ...log,
      async readAfter(stream, after, limit) {
        const slice = await log.readAfter(stream, after, limit);
        return slice.complete && slice.entries.length > 1
          ? { ...slice, entries: slice.entries.slice(1) }
          : slice;
      },
    }),
  },
  {
    name: "doubles: a read of the log gives its first entry twice",
    log: (log) => ({
      ...log,
      async readAfter(stream, after, limit) {
        const slice = await log.readAfter(stream, after, limit);
        return slice.complete
          ? { ...slice, entries: [...slice.entries.slice(0, 1), ...slice.entries] }
          : slice;
      },
    }),
  },
  {
    name: "reorders: a read of the log gives the newest entry first",
    log: (log) => ({
      ...log,
      async readAfter(stream, after, limit) {
        const slice = await log.readAfter(stream, after, limit);
        return slice.complete ? { ...slice, entries: slice.entries.toReversed() } : slice;
      },
    }),
  },
  {
    name: "forgets ids: a resend is another event",
    log: (log) => ({
      ...log,
      append: (stream, id, data) => log.append(stream, id.replace(USER, v7()), data),
    }),
  },
  {
    name: "does not look at the epoch",
    log: (log) => ({
      ...log,
      async readAfter(stream, after, limit) {
        const { epoch } = await log.position(stream);
        return log.readAfter(stream, { epoch, seq: after.seq }, limit);
      },
    }),
  },
  { name: "acknowledges before the place of the event", earlyAcks: true, silent: "ack" },
  { name: "keeps a resync to itself", silent: "resync" },
];
