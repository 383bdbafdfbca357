import { mkdirSync } from "node:fs";
import path from "node:path";
import winston from "winston";
import type { LogFields, Logger } from "./logger.js";
import { redact } from "./redact.js";

/** What the log of a process needs. */
export interface WinstonOptions {
  readonly level: "error" | "warn" | "info" | "debug";
  /** Folder of `combined.log` and `error.log`. */
  readonly directory: string;
  /** Added to every line. */
  readonly fields?: LogFields;
}

const FILE_BYTES = 20 * 1024 * 1024;
const FILES = 5;

/** JSON lines on the console and in two rotated files; secrets never get that far. A folder that cannot be written is said once. */
export function createWinstonLogger(options: WinstonOptions): Logger {
  const root = winston.createLogger({
    level: options.level,
    format: winston.format.combine(winston.format.timestamp(), winston.format.json()),
    transports: [new winston.transports.Console(), ...files(options.directory)],
    exitOnError: false,
  });
  return wrap(root, options.fields ?? {});
}

function files(directory: string): winston.transport[] {
  try {
    mkdirSync(directory, { recursive: true });
  } catch {
    process.stderr.write(`The log folder ${directory} cannot be made; logs go to the console only.\n`);
    return [];
  }
  const file = (filename: string, level?: string) => {
    const transport = new winston.transports.File({
      filename: path.join(directory, filename),
      maxsize: FILE_BYTES,
      maxFiles: FILES,
      tailable: true,
      ...(level === undefined ? {} : { level }),
    });
    let said = false;
    transport.on("error", (error: Error) => {
      if (!said) process.stderr.write(`The log file ${filename} cannot be written: ${error.message}\n`);
      said = true;
    });
    return transport;
  };
  return [file("error.log", "error"), file("combined.log")];
}

function wrap(target: winston.Logger, bound: LogFields): Logger {
  const at = (level: string) => (message: string, fields?: LogFields) => {
    if (!target.isLevelEnabled(level)) return;
    target.log({ level, ...(redact({ ...bound, ...fields }) as LogFields), message: redact(message) as string });
  };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (fields) => wrap(target, { ...bound, ...fields }),
  };
}
