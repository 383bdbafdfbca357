import type { FieldError } from "../../errors.js";
import { AppError } from "../../errors.js";
import type { LanguageDefinition } from "./languages.js";
import { findLanguage } from "./languages.js";
import { REQUEST_LIMITS } from "./limits.js";
import type { RunLimits, RunRequest } from "./sandbox.js";

/** A checked request: what an engine host is sent. */
export interface Program {
  readonly language: string;
  readonly entry: string;
  readonly files: readonly (readonly [path: string, source: string])[];
  readonly stdin: string;
  readonly args: readonly string[];
  readonly limits: RunLimits;
}

const LIMIT_NAMES = ["cpuMs", "wallMs", "memoryBytes", "outputBytes", "diskBytes"] as const;
// A colon begins the names of our own modules; a backslash means two things on two systems.
const PATH_CHARACTERS = /^[^\p{Cc}\p{Surrogate}\\:]+$/u;

/** Throws `unsupported_language` or `validation_failed` for a request that no sandbox could run. */
export function checkProgram(request: RunRequest): Program {
  const language = findLanguage(request.language);
  if (language === undefined) {
    throw new AppError("unsupported_language", {
      detail: `The sandbox does not know the language "${request.language.slice(0, 40)}".`,
    });
  }
  const files = Object.entries(request.files);
  const stdin = request.stdin ?? "";
  const args = request.args ?? [];
  const errors = [
    ...fileErrors(files, request.entry, language),
    ...tooLarge("/stdin", [stdin], REQUEST_LIMITS.stdinBytes),
    ...(stdin !== "" && !language.stdin
      ? [{ pointer: "/stdin", code: "not_supported", message: "Programs of this language have no input." }]
      : []),
    ...tooLarge("/args", args, REQUEST_LIMITS.argBytes),
    ...(args.length > REQUEST_LIMITS.args
      ? [{ pointer: "/args", code: "too_many", message: `At most ${REQUEST_LIMITS.args} arguments.` }]
      : []),
    ...limitErrors(request.limits ?? {}, language),
  ];
  if (errors.length > 0) throw new AppError("validation_failed", { errors });
  const limits = { ...language.limits.default, ...definedLimits(request.limits ?? {}) };
  return { language: language.id, entry: request.entry, files, stdin, args, limits };
}

/** Whether a file of a program may be called so: relative, no `..`, nothing a disk or a stack trace would misread. */
export function isProgramPath(path: string): boolean {
  return (
    path.length <= REQUEST_LIMITS.pathLength &&
    PATH_CHARACTERS.test(path) &&
    path.split("/").every((part) => part !== "" && part !== "." && part !== "..")
  );
}

function fileErrors(
  files: readonly (readonly [string, string])[],
  entry: string,
  language: LanguageDefinition,
): FieldError[] {
  const errors: FieldError[] = tooLarge(
    "/files",
    files.map(([, source]) => source),
    REQUEST_LIMITS.sourceBytes,
  );
  if (files.length > REQUEST_LIMITS.files) {
    errors.push({ pointer: "/files", code: "too_many", message: `At most ${REQUEST_LIMITS.files} files.` });
  } else if (files.length > 1 && !language.multiFile) {
    errors.push({ pointer: "/files", code: "too_many", message: "A program of this language is one file." });
  }
  if (files.some(([path]) => !isProgramPath(path))) {
    errors.push({
      pointer: "/files",
      code: "invalid_path",
      message: `A path is relative, has no "..", ":", backslash or control character, and at most ${REQUEST_LIMITS.pathLength} characters.`,
    });
  }
  if (!files.some(([path]) => path === entry)) {
    errors.push({ pointer: "/entry", code: "unknown_file", message: "The entry is not one of the files." });
  }
  return errors;
}

function tooLarge(pointer: string, texts: readonly string[], mostBytes: number): FieldError[] {
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  return bytes > mostBytes ? [{ pointer, code: "too_large", message: `At most ${mostBytes} bytes.` }] : [];
}

function limitErrors(
  limits: Partial<RunLimits>,
  { limits: { minimum, maximum } }: LanguageDefinition,
): FieldError[] {
  return LIMIT_NAMES.filter((name) => {
    const value = limits[name];
    return (
      value !== undefined && !(Number.isInteger(value) && value >= minimum[name] && value <= maximum[name])
    );
  }).map((name) => ({
    pointer: `/limits/${name}`,
    code: "out_of_range",
    message: `An integer from ${minimum[name]} to ${maximum[name]}.`,
  }));
}

function definedLimits(limits: Partial<RunLimits>): Partial<RunLimits> {
  return Object.fromEntries(
    LIMIT_NAMES.filter((name) => limits[name] !== undefined).map((name) => [name, limits[name]]),
  );
}
