import path from "node:path";
import type { Writable } from "node:stream";
import winston from "winston";
import { type Clock, systemClock } from "../clock.js";
import type { LogFields, Logger } from "./logger.js";
import { redact, redactText } from "./redact.js";
import { createRotatingFile, type RotatingFile } from "./rotating-file.js";

/** What the log of a process needs. */
export interface WinstonOptions {
  readonly level: LogLevel;
  /** Folder of `combined.log` and `error.log`; it is made, and may be unwritable. */
  readonly directory: string;
  /** Added to every line. */
  readonly fields?: LogFields;
  /** Where lines go besides the files. Default: standard output. */
  readonly output?: Writable;
  /** Where it is said that the files cannot be written. Default: standard error. */
  readonly errorOutput?: Writable;
  /** Default 20 MiB. */
  readonly maxFileBytes?: number;
  readonly clock?: Clock;
}

/** A logger that keeps files. */
export interface WinstonLogger extends Logger {
  /** Resolves when every line so far is in the files. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

type LogLevel = "error" | "warn" | "info" | "debug";

const LEVELS: Readonly<Record<LogLevel, number>> = { error: 0, warn: 1, info: 2, debug: 3 };
/** Lines are made before they reach Winston. */
const AS_IT_IS: winston.Logform.Format = { transform: (info) => info };
const FILE_BYTES = 20 * 1024 * 1024;
const FILES = 5;
/** Members every line has of its own; a field of that name gets a `_` behind it. */
const OWN_MEMBERS = new Set(["time", "level", "message"]);
/** What JSON leaves as it is and a terminal or an editor acts on: C1 controls, DEL, line separators, direction marks. */
const ACTIVE_MARKS = /[\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/**
 * JSON lines on the console and in two rotated files. Secrets are taken out before a line is made, nothing in a line can
 * act on a terminal, and neither a full disk nor a closed console reaches the caller.
 */
export function createWinstonLogger(options: WinstonOptions): WinstonLogger {
  const clock = options.clock ?? systemClock;
  const output = options.output ?? process.stdout;
  const errorOutput = options.errorOutput ?? process.stderr;
  // A reader that went away (EPIPE) must not end the process.
  for (const stream of [output, errorOutput]) {
    if (!stream.listeners("error").includes(ignore)) stream.on("error", ignore);
  }

  const file = (name: string): RotatingFile =>
    createRotatingFile({
      file: path.resolve(options.directory, name),
      maxBytes: options.maxFileBytes ?? FILE_BYTES,
      maxFiles: FILES,
      onTrouble: (sentence) => void errorOutput.write(`${sentence}\n`),
    });
  const combined = file("combined.log");
  const errors = file("error.log");
  const lines = new winston.transports.Stream({ stream: output });
  // Winston's own transports make a stream of each place, and its file transport stops the whole log when a disk is full.
  lines.log = (info: { readonly level: LogLevel; readonly message: string }, next: () => void) => {
    output.write(info.message);
    combined.write(info.message);
    if (info.level === "error") errors.write(info.message);
    next();
  };
  const inner = winston.createLogger({
    levels: { ...LEVELS },
    level: options.level,
    format: AS_IT_IS,
    transports: lines,
    exitOnError: false,
  });
  inner.on("error", ignore);

  const write = (level: LogLevel, message: string, fields: LogFields): void => {
    if (LEVELS[level] > LEVELS[options.level]) return;
    const time = new Date(clock.now()).toISOString();
    const line = toLine({ time, level, message: redactText(String(message)) }, fields);
    inner.log({ level, message: `${line}\n` });
  };
  const flush = async (): Promise<void> => {
    // Winston hands lines on within the present turn.
    await new Promise((resolve) => setImmediate(resolve));
    await Promise.all([combined.flush(), errors.flush()]);
  };
  return {
    ...bind(write, options.fields ?? {}),
    flush,
    async close() {
      await flush();
      inner.close();
      await Promise.all([combined.close(), errors.close()]);
    },
  };
}

function ignore(): void {}

function bind(
  write: (level: LogLevel, message: string, fields: LogFields) => void,
  bound: LogFields,
): Logger {
  const at = (level: LogLevel) => (message: string, fields?: LogFields) => {
    write(level, message, { ...bound, ...fields });
  };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (fields) => bind(write, { ...bound, ...fields }),
  };
}

function toLine(own: Readonly<Record<string, string>>, fields: LogFields): string {
  const line: Record<string, unknown> = { ...own };
  for (const [name, value] of Object.entries(redact(fields) as Record<string, unknown>)) {
    line[OWN_MEMBERS.has(name) ? `${name}_` : name] = value;
  }
  return JSON.stringify(line).replace(ACTIVE_MARKS, escapeMark);
}

function escapeMark(mark: string): string {
  return `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
