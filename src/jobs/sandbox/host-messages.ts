import { z } from "zod";

// A host that was taken over may send anything: every field has a type and a bound, and nothing else gets through.

const token = z.string().regex(/^[\w.+-]{1,64}$/);
const count = z.number().min(0).max(Number.MAX_SAFE_INTEGER);
const text = (most: number) => z.string().max(most).transform(storable);

const ready = z.strictObject({
  type: z.literal("ready"),
  engines: z.array(z.strictObject({ language: token, id: token, version: token })).max(32),
  failures: z.record(token, text(300)),
});

const phase = z.strictObject({ type: z.literal("phase"), id: count, phase: z.enum(["compile", "run"]) });

const result = z.strictObject({
  type: z.literal("result"),
  id: count,
  status: z.enum([
    "ok",
    "nonzero_exit",
    "runtime_error",
    "compile_error",
    "cpu_time_limit",
    "wall_time_limit",
    "memory_limit",
    "output_limit",
    "disk_limit",
    "unsettled_await",
    "cancelled",
  ]),
  exitCode: z.number().int().min(0).max(255).nullable(),
  error: z
    .strictObject({
      kind: text(200),
      message: text(8192),
      file: text(200).optional(),
      line: count.int().optional(),
      column: count.int().optional(),
      stack: text(8192).optional(),
    })
    .optional(),
  durationMs: count,
  cpuMs: count,
  peakMemoryBytes: count,
  truncated: z.boolean(),
  residentBytes: count,
});

const message = z.discriminatedUnion("type", [ready, phase, result]);

/** What an engine host may say. */
export type HostMessage = z.infer<typeof message>;
/** The first message of a host. */
export type HostReady = z.infer<typeof ready>;
/** The last message of a run. */
export type HostResult = z.infer<typeof result>;

/** The message in a frame, or undefined when it is not one. */
export function parseHostMessage(body: Uint8Array): HostMessage | undefined {
  try {
    return message.safeParse(JSON.parse(Buffer.from(body).toString("utf8"))).data;
  } catch {
    return undefined;
  }
}

/** The text without what a PostgreSQL `text` refuses: NUL and lone surrogates become U+FFFD. */
export function storable(value: string): string {
  return value.replace(/\0|\p{Surrogate}/gu, "\uFFFD");
}
