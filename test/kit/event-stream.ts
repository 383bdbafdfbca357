/** One event of a stream, as it came. */
export interface StreamedEvent {
  readonly name: string;
  readonly id: string | undefined;
  readonly data: Record<string, any>;
}

/** A client of server-sent events that remembers what it was told. */
export interface EventStream {
  readonly status: number;
  readonly headers: Headers;
  /** The problem, when it was refused. */
  readonly problem: Record<string, any> | undefined;
  readonly events: readonly StreamedEvent[];
  /** Text of all log entries so far. */
  readonly output: string;
  /** The first event, seen or to come, that fits; rejects when the stream ends before. */
  next(fits: (event: StreamedEvent) => boolean): Promise<StreamedEvent>;
  /** Resolves when the server has ended it. */
  readonly ended: Promise<void>;
  close(): void;
}

/** Asks for a stream; resolves with its head. */
export async function openEventStream(
  url: string,
  token: string,
  lastEventId?: string,
): Promise<EventStream> {
  const controller = new AbortController();
  const response = await fetch(url, {
    headers: {
      authorization: `Bearer ${token}`,
      ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }),
    },
    signal: controller.signal,
  });
  const events: StreamedEvent[] = [];
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const each of waiting) each();
  };
  const streaming = response.headers.get("content-type")?.startsWith("text/event-stream") ?? false;
  const problem =
    streaming || response.status === 204 ? undefined : ((await response.json()) as Record<string, any>);
  let over = !streaming;
  const read = async () => {
    let text = "";
    const decoder = new TextDecoder();
    for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(bytes, { stream: true });
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const event = eventOf(block);
        if (event) events.push(event);
      }
      wake();
    }
  };
  const ended = (streaming ? read() : Promise.resolve())
    .catch(() => undefined)
    .then(() => {
      over = true;
      wake();
    });
  return {
    status: response.status,
    headers: response.headers,
    problem,
    events,
    get output() {
      return events
        .filter(({ name }) => name === "log")
        .flatMap(({ data }) => data.entries as { text: string }[])
        .map(({ text }) => text)
        .join("");
    },
    next: (fits) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = events.find(fits);
          if (!found && !over) return;
          waiting.delete(look);
          if (found) resolve(found);
          else reject(new Error(`the stream ended with ${JSON.stringify(events.slice(-3))}`));
        };
        waiting.add(look);
        look();
      }),
    ended,
    close: () => controller.abort(),
  };
}

function eventOf(block: string): StreamedEvent | undefined {
  const fields = new Map(
    block.split("\n").map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trimStart()] as const;
    }),
  );
  const name = fields.get("event");
  if (name === undefined) return undefined;
  return {
    name,
    id: fields.get("id"),
    data: JSON.parse(fields.get("data") ?? "null") as Record<string, any>,
  };
}
