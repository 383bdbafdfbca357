import { AppError } from "../errors.js";
import type { JobContext } from "./job-type.js";
import { storableText } from "./storable.js";

/** Bytes of a result, as JSON, that are kept in the job's row. */
export const MAX_RESULT_BYTES = 256 * 1024;
/** The artifact that has the whole of a larger one. */
export const RESULT_ARTIFACT = "result.json";

/** Lengths to which long texts are cut, until the result fits. */
const CUTS = [16_384, 1_024, 64];

/**
 * The result as the row keeps it: itself when it is small; else it becomes the artifact {@link RESULT_ARTIFACT}, and the row
 * gets it with its long texts cut.
 */
export async function fittingResult(
  result: unknown,
  context: Pick<JobContext, "artifact">,
): Promise<unknown> {
  const whole = JSON.stringify(result);
  if (Buffer.byteLength(whole) <= MAX_RESULT_BYTES) return result;
  await context.artifact(RESULT_ARTIFACT, whole, "application/json");
  for (const length of CUTS) {
    const shorter = cut(result, length);
    if (Buffer.byteLength(JSON.stringify(shorter)) <= MAX_RESULT_BYTES) return shorter;
  }
  throw new AppError("unprocessable", { detail: "The result is too large." });
}

function cut(value: unknown, length: number): unknown {
  if (typeof value === "string") {
    return value.length <= length ? value : storableText(value.slice(0, length)).replace(/\uFFFD$/, "");
  }
  if (Array.isArray(value)) return value.map((member) => cut(member, length));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, cut(member, length)]));
}
