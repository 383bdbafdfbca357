// The process that runs untrusted programs, one at a time, for a pool at the other end of its standard input and output.
// It holds no secrets: an empty environment, no files but the engines', no network where the system can take it away.
// Argument 1: JSON `{languages: {id: default memory}, packages: {name: path}}`.
import { ENGINE_MODULES } from "./engines.mjs";
import { createFrameDecoder, encodeFrame, encodeMessage, FRAME_STDERR, FRAME_STDOUT } from "./frames.mjs";
import { runProgram, startWorker } from "./run.mjs";

/** @typedef {import("./engine.d.mts").Language} Language */

const MOST_REQUEST_BYTES = 8 * 1024 * 1024;
const MOST_OUTPUT_FRAME = 32 * 1024;

/** @type {{languages: Record<string, number>, packages: import("./engine.d.mts").Packages}} */
const { languages, packages } = JSON.parse(process.argv[2] ?? "{}");

/** @param {unknown} message */
const send = (message) => process.stdout.write(encodeMessage(message));

/** @type {Map<string, Language>} */
const ready = new Map();
/** @type {Record<string, string>} */
const failures = {};
for (const language of Object.keys(languages)) {
  try {
    const module = await ENGINE_MODULES[language]?.();
    if (module === undefined) throw new Error("there is no engine for it");
    ready.set(language, await module.load(language, packages));
  } catch (error) {
    failures[language] = String(error instanceof Error ? error.message : error).slice(0, 300);
  }
}

/** The next worker, prepared for what came last: a program is often followed by another of its kind. */
let spare = createSpare([...ready.keys()][0] ?? "");
/** @type {{id: number, cancelled: boolean, cancel: () => void} | undefined} */
let current;

/** @param {string} language */
function createSpare(language) {
  const { worker, prepare } = startWorker(packages);
  const memoryBytes = languages[language] ?? 0;
  const assets = ready.get(language)?.assets(memoryBytes);
  return { worker, prepare, language, memoryBytes, prepared: prepare({ language, memoryBytes, assets }) };
}

/**
 * The spare worker, prepared for this language and this memory; false when it is not well.
 * @param {string} language
 * @param {number} memoryBytes
 */
async function prepareSpare(language, memoryBytes) {
  if (!(await spare.prepared)) return false;
  if (spare.language === language && spare.memoryBytes === memoryBytes) return spare.worker.threadId !== -1;
  return spare.prepare({ language, memoryBytes, assets: ready.get(language)?.assets(memoryBytes) });
}

/** @param {number} descriptor @param {Uint8Array} bytes */
function sendOutput(descriptor, bytes) {
  for (let at = 0; at < bytes.length; at += MOST_OUTPUT_FRAME) {
    const piece = bytes.subarray(at, at + MOST_OUTPUT_FRAME);
    process.stdout.write(encodeFrame(descriptor === 1 ? FRAME_STDOUT : FRAME_STDERR, piece));
  }
}

/** @param {any} request */
async function run({ id, program }) {
  if (!ready.has(program.language)) throw new Error("The pool asked for a language that is not here");
  const order = { ...program, files: new Map(program.files) };
  const waiting = { id, cancelled: false, cancel: () => void (waiting.cancelled = true) };
  current = waiting;
  if (!(await prepareSpare(program.language, program.limits.memoryBytes))) process.exit(1);
  send({ type: "phase", id, phase: "compile" });
  const { report, cancel } = runProgram(spare.worker, order, {
    output: sendOutput,
    begun: () => send({ type: "phase", id, phase: "run" }),
  });
  if (waiting.cancelled) cancel();
  current = { ...waiting, cancel };
  const { outcome, ...spent } = await report;
  current = undefined;
  send({ type: "result", id, ...outcome, ...spent, residentBytes: process.memoryUsage.rss() });
  spare = createSpare(program.language);
}

const decode = createFrameDecoder(MOST_REQUEST_BYTES, (_kind, body) => {
  const request = JSON.parse(Buffer.from(body).toString("utf8"));
  if (request.type === "run") void run(request);
  else if (request.type === "cancel" && current?.id === request.id) current?.cancel();
});
process.stdin.on("data", decode);
// The pool is gone, or wants this host gone: nothing here is worth finishing.
process.stdin.on("end", () => process.exit(0));
process.stdin.on("error", () => process.exit(0));
process.stdout.on("error", () => process.exit(0));

if (!(await spare.prepared)) process.exit(1);
send({
  type: "ready",
  engines: [...ready].map(([language, { id, version }]) => ({ language, id, version })),
  failures,
});
