import type { BackendFactory, IQueueBackend } from "bullmq";

/** Told of every fault BullMQ or a store reports; see {@link createFaultReporter}. */
export type ReportFault = (error: unknown) => void;

/** The connections of one BullMQ `Queue` or `Worker`. */
export interface StoreLink {
  readonly backendFactory: BackendFactory<IQueueBackend, object>;
  /** Drops the connections at once; what waits for them is rejected. */
  disconnect(): void;
}

/** Where BullMQ keeps the queue: Redis or PostgreSQL. */
export interface QueueStore {
  /** Key prefix of the queue; only Redis has one. */
  readonly prefix?: string;
  /** Resolves when the store can take commands now; rejects soon when it is away. */
  ready(): Promise<void>;
  /** Connections of the producer; they fail fast. */
  producer(): StoreLink;
  /** Connections of one consumer; they wait for the store to come back. */
  consumer(): StoreLink;
  /** One round trip. */
  ping(): Promise<void>;
  /** What is wrong with how the store is set up, one sentence each. */
  problems(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** The promise's outcome, or a rejection with `message` after `ms`. */
export async function within<R>(ms: number, message: string, work: Promise<R>): Promise<R> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(message)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** True when the promise settled, either way, within `ms`. */
export async function settledWithin(ms: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  const settled = work.then(
    () => true,
    () => true,
  );
  try {
    return await Promise.race([settled, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Passes faults on, each message at most once per `quietMs`: a store that is away makes every connection complain at
 * every attempt. Faults of `onError` itself are dropped.
 */
export function createFaultReporter(onError: (error: Error) => void, quietMs: number): ReportFault {
  const last = new Map<string, number>();
  return (fault) => {
    const error = fault instanceof Error ? fault : new Error(String(fault));
    // Several addresses tried at once fail as one AggregateError without a message.
    const key = error.message || error.name;
    const now = Date.now();
    if (now - (last.get(key) ?? Number.NEGATIVE_INFINITY) < quietMs) return;
    if (last.size >= 100) last.clear();
    last.set(key, now);
    try {
      onError(error);
    } catch {
      // The reporter is the last resort; there is nobody left to tell.
    }
  };
}
