// The process that runs untrusted programs, one at a time, for a pool at the other end of its standard input and output.
// It holds no secrets: an empty environment, no files but the engines', no network where the system can take it away.
// Argument 1: JSON `{languages: {id: default memory}, packages: {name: path}}`.
import { ENGINE_MODULES } from "./engines.mjs";
import { createFrameDecoder, encodeFrame, encodeMessage, FRAME_STDERR, FRAME_STDOUT } from "./frames.mjs";
import { runProgram, startWorker } from "./run.mjs";
import { BELL_HOLD, BELL_SILENT } from "./run-control.mjs";

/** @typedef {import("./engine.d.mts").Language} Language */

const MOST_REQUEST_BYTES = 8 * 1024 * 1024;
const MOST_OUTPUT_FRAME = 32 * 1024;
const MOST_SPARES = 2;

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

/**
 * Workers prepared for what came last, the latest first: a program is often followed by another of its kind.
 * @type {Spare[]}
 */
const spares = [];
addSpare([...ready.keys()][0] ?? "");
/** @type {{id: number, cancelled: boolean, cancel: () => void} | undefined} */
let current;

/**
 * @typedef {object} Spare
 * @property {string} language
 * @property {number} memoryBytes
 * @property {import("./run.mjs").WaitingWorker} waiting
 * @property {Promise<boolean>} prepared
 */

/** @param {string} language @param {number} [memoryBytes] @returns {Spare} */
function createSpare(language, memoryBytes = languages[language] ?? 0) {
  const waiting = startWorker(packages);
  const assets = ready.get(language)?.assets(memoryBytes);
  return { language, memoryBytes, waiting, prepared: waiting.prepare({ language, memoryBytes, assets }) };
}

/** @param {string} language */
function addSpare(language) {
  if (spares.every((spare) => spare.language !== language)) spares.unshift(createSpare(language));
  for (const spare of spares.splice(MOST_SPARES)) void spare.waiting.worker.terminate();
}

/**
 * A worker prepared for this language and this memory; undefined when it is not well.
 * @param {string} language
 * @param {number} memoryBytes
 */
async function takeWorker(language, memoryBytes) {
  const found =
    spares.find((spare) => spare.language === language && spare.memoryBytes === memoryBytes) ??
    (ready.get(language)?.stays ? undefined : spares.find((spare) => !ready.get(spare.language)?.stays));
  const spare = found ?? createSpare(language, memoryBytes);
  if (found !== undefined) spares.splice(spares.indexOf(found), 1);
  const { waiting } = spare;
  if (!(await spare.prepared)) return undefined;
  if (spare.language !== language || spare.memoryBytes !== memoryBytes) {
    const assets = ready.get(language)?.assets(memoryBytes);
    return (await waiting.prepare({ language, memoryBytes, assets })) ? waiting : undefined;
  }
  return waiting.worker.threadId === -1 ? undefined : waiting;
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
  // Their work would count as this program's.
  await Promise.all(spares.map(({ prepared }) => prepared));
  const worker = await takeWorker(program.language, program.limits.memoryBytes);
  if (worker === undefined) process.exit(1);
  send({ type: "phase", id, phase: "compile" });
  for (const spare of spares) spare.waiting.ring(BELL_HOLD);
  const { report, cancel } = runProgram(worker, order, {
    output: sendOutput,
    begun: () => send({ type: "phase", id, phase: "run" }),
  });
  if (waiting.cancelled) cancel();
  current = { ...waiting, cancel };
  const { outcome, ...spent } = await report;
  current = undefined;
  send({ type: "result", id, ...outcome, ...spent, residentBytes: process.memoryUsage.rss() });
  for (const spare of spares) spare.waiting.ring(BELL_SILENT);
  addSpare(program.language);
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

if (!(await spares[0]?.prepared)) process.exit(1);
send({
  type: "ready",
  engines: [...ready].map(([language, { id, version }]) => ({ language, id, version })),
  failures,
});
