import { AppError } from "../../errors.js";
import type { ProbeProgram } from "./language-probes.js";
import type { LanguageDefinition } from "./languages.js";
import type { LanguageCapability, RunRequest, RunResult } from "./sandbox.js";

/** Runs the probes of a language; throws the reason for which it cannot be used. */
export async function probeLanguage(
  language: LanguageDefinition,
  run: (request: RunRequest) => Promise<RunResult>,
): Promise<RunResult["engine"]> {
  const results = [];
  for (const probe of language.probes) {
    const result = await run({ ...probe.request, language: language.id });
    const difference = compare(probe, result);
    if (difference !== undefined) throw new Error(difference);
    results.push(result);
  }
  const [first] = results;
  if (first === undefined) throw new Error("it has no probe");
  return first.engine;
}

function compare(probe: ProbeProgram, { status, stdout }: RunResult): string | undefined {
  if (status === probe.status && stdout === probe.stdout) return undefined;
  return `a probe ended ${status} instead of ${probe.status}`;
}

/** A language as `GET /languages` shows it. */
export function describeLanguage(
  language: LanguageDefinition,
  engine: RunResult["engine"],
  failure: unknown,
): LanguageCapability {
  const { id, aliases, extension, multiFile, stdin, files } = language;
  const limits = { default: language.limits.default, maximum: language.limits.maximum };
  const known = { id, aliases, extension, engine, multiFile, stdin, files, limits };
  if (failure === undefined) return { ...known, available: true };
  return { ...known, available: false, reason: reasonOf(failure) };
}

function reasonOf(failure: unknown): string {
  if (failure instanceof AppError) return failure.detail ?? failure.message;
  return failure instanceof Error ? failure.message : String(failure);
}
