// npm run jobs -- watch <id> | list | cancel <id> | retry <id>: jobs of a running service, from a terminal.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

const USAGE = `Usage: npm run jobs -- <command> [options]

  watch <id>    follows a job: its output on stdout and stderr, a bar while it runs
  list          lists your jobs, newest first
  cancel <id>   cancels a job
  retry <id>    starts a failed or cancelled job again

  --url <url>          the service; default ATELIER_URL or http://localhost:3000
  --token-file <file>  where the access token is; default: ATELIER_TOKEN
  --project <id>, --status <status>, --type <type>, --limit <n>   for list
  --json               prints what the API answered

Exit codes: 0 done, 1 the job or its program failed, 2 wrong usage, 3 cancelled, 4 the service refused or is away.`;

const OUTCOME = { completed: 0, failed: 1, cancelled: 3 };
const REFUSED = 4;
/** How often a watcher that was cut off comes back without having got anything, a second apart. */
const TRIES = 30;

/** What ends the program with a sentence and an exit code. */
class Stop extends Error {
  constructor(message, code) {
    super(message);
    this.code = code;
  }
}

const say = (text) => process.stdout.write(`${text}\n`);
const warn = (text) => process.stderr.write(`${text}\n`);

function readCommand(argv, env) {
  let parsed;
  try {
    parsed = parseArgs({
      args: argv,
      allowPositionals: true,
      options: {
        url: { type: "string" },
        "token-file": { type: "string" },
        project: { type: "string" },
        status: { type: "string" },
        type: { type: "string" },
        limit: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    throw new Stop(`${error.message}\n\n${USAGE}`, 2);
  }
  const { values, positionals } = parsed;
  const [command, id, ...rest] = positionals;
  if (values.help) throw new Stop(USAGE, 0);
  const takesId = ["watch", "cancel", "retry"].includes(command);
  if ((!takesId && command !== "list") || rest.length > 0 || takesId !== (id !== undefined))
    throw new Stop(USAGE, 2);
  if (takesId && !/^[0-9a-f-]{36}$/i.test(id)) throw new Stop("A job's id looks like 0198c0de-….", 2);
  return { command, id, values, api: apiAt(values, env) };
}

function apiAt(values, env) {
  const url = values.url ?? env.ATELIER_URL ?? "http://localhost:3000";
  if (!URL.canParse(url) || !/^https?:/.test(url)) throw new Stop("--url must be an http(s) address.", 2);
  return { base: `${url.replace(/\/+$/, "")}/api/${env.API_VERSION ?? "v1"}`, token: tokenOf(values, env) };
}

function tokenOf(values, env) {
  const file = values["token-file"];
  let token = env.ATELIER_TOKEN;
  if (file !== undefined) {
    try {
      token = readFileSync(file, "utf8");
    } catch {
      throw new Stop("The file of --token-file cannot be read.", 2);
    }
  }
  token = token?.trim();
  if (!token) throw new Stop("Set ATELIER_TOKEN to an access token, or name its file with --token-file.", 2);
  if (!/^[\w~+/.=-]+$/.test(token)) throw new Stop("That is no access token.", 2);
  return token;
}

async function request(api, method, path, headers = {}) {
  try {
    return await fetch(api.base + path, {
      method,
      headers: { authorization: `Bearer ${api.token}`, ...headers },
      redirect: "error",
    });
  } catch (error) {
    throw Object.assign(
      new Stop(`${api.base} does not answer: ${error.cause?.code ?? error.message}.`, REFUSED),
      {
        passing: true,
      },
    );
  }
}

async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  const why = problem.detail ?? problem.title ?? response.statusText;
  const where = (problem.errors ?? []).map(({ pointer, message }) => ` ${pointer}: ${message}.`).join("");
  return Object.assign(new Stop(printable(`${response.status} ${why}${where}`), REFUSED), {
    passing: response.status >= 500 || response.status === 429,
  });
}

async function json(api, method, path) {
  const response = await request(api, method, path);
  if (!response.ok) throw await refusal(response);
  return response.json();
}

/** Text without what moves the cursor or changes the terminal: programs of others print it. */
function printable(text) {
  return text.replaceAll("\r\n", "\n").replace(/[^\P{Cc}\t\n]/gu, "\ufffd");
}

/** A bar on the last line of a terminal; nothing where stderr is none. */
function createBar(stream) {
  let shown = "";
  const clear = () => {
    if (shown !== "") stream.write("\r\u001b[K");
  };
  const draw = () => {
    if (shown !== "") stream.write(shown);
  };
  return {
    show(job) {
      if (!stream.isTTY) return;
      clear();
      const width = Math.max(10, Math.min(40, (stream.columns ?? 80) - 40));
      const filled = Math.round((job.progress / 100) * width);
      const bar = "█".repeat(filled) + "░".repeat(width - filled);
      const attempt = job.attempt > 1 ? `, attempt ${job.attempt}` : "";
      const text = `${bar} ${String(job.progress).padStart(3)} % ${job.status}${attempt} ${job.progressMessage ?? ""}`;
      shown = printable(text).slice(0, (stream.columns ?? 80) - 1);
      draw();
    },
    /** Writes while the bar is out of the way. */
    around(write) {
      clear();
      write();
      draw();
    },
    end() {
      clear();
      shown = "";
    },
  };
}

async function* eventsOf(response) {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of response.body) {
    text += decoder.decode(bytes, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(
        block
          .split("\n")
          .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]),
      );
      if (fields.event) yield { name: fields.event, id: fields.id, data: JSON.parse(fields.data ?? "null") };
    }
  }
}

/** Follows a job over interruptions; returns it when it has ended. */
async function follow(api, id, bar) {
  let lastId;
  let lineEnded = true;
  for (let failures = 0; failures < TRIES; failures += 1) {
    if (failures > 0) await new Promise((resolve) => setTimeout(resolve, 1_000));
    try {
      const response = await request(
        api,
        "GET",
        `/jobs/${id}/events`,
        lastId ? { "last-event-id": lastId } : {},
      );
      if (response.status === 204) return (await json(api, "GET", `/jobs/${id}`)).job;
      if (!response.ok) throw await refusal(response);
      for await (const { name, id: eventId, data } of eventsOf(response)) {
        failures = 0;
        lastId = eventId ?? lastId;
        if (name === "job") bar.show(data.job);
        if (name === "end") {
          if (!lineEnded) bar.around(() => process.stdout.write("\n"));
          return data.job;
        }
        if (name === "closed" && data.reason !== "restart")
          throw new Stop(
            data.reason === "token" ? "The token has expired." : "You may not see this job any more.",
            REFUSED,
          );
        if (name === "log") {
          bar.around(() => {
            for (const { stream, text } of data.entries) {
              const to = stream === "stdout" ? process.stdout : process.stderr;
              to.write(to.isTTY ? printable(text) : text);
              lineEnded = text.endsWith("\n");
            }
            if (!lineEnded && process.stderr.isTTY) process.stderr.write("\n");
          });
        }
      }
    } catch (error) {
      if (error instanceof Stop && !error.passing) throw error;
      if (failures + 1 >= TRIES)
        throw error instanceof Stop ? error : new Stop("The connection broke.", REFUSED);
    }
  }
  throw new Stop("The service gave nothing for half a minute.", REFUSED);
}

async function watch({ api, id, values }) {
  const bar = createBar(process.stderr);
  const ended = await follow(api, id, bar).finally(() => bar.end());
  const { job } = await json(api, "GET", `/jobs/${id}`);
  if (values.json) say(JSON.stringify(job));
  else warn(printable(summaryOf(ended, job)));
  // A program that failed is a completed job.
  const failed =
    job.status === "completed" && typeof job.result?.status === "string" && job.result.status !== "ok";
  return failed ? 1 : (OUTCOME[job.status] ?? 1);
}

function summaryOf(ended, job) {
  const seconds = (
    (Date.parse(ended.finishedAt) - Date.parse(ended.startedAt ?? ended.finishedAt)) /
    1_000
  ).toFixed(2);
  const detail = job.error?.message ?? job.result?.error?.message ?? job.result?.status ?? "";
  return `${job.type} ${job.status} after ${seconds} s, attempt ${job.attempt}${detail ? `: ${detail}` : ""}`;
}

async function list({ api, values }) {
  const query = new URLSearchParams();
  for (const [name, value] of [
    ["projectId", values.project],
    ["status", values.status],
    ["type", values.type],
    ["limit", values.limit],
  ])
    if (value !== undefined) query.set(name, value);
  const { jobs } = await json(api, "GET", `/jobs?${query}`);
  if (values.json) {
    say(JSON.stringify(jobs));
    return 0;
  }
  for (const job of jobs) {
    const progress = job.status === "processing" ? ` ${job.progress} %` : "";
    say(
      printable(
        [job.id, job.createdAt, job.type.padEnd(18), job.status + progress, job.error?.code ?? ""]
          .join("  ")
          .trimEnd(),
      ),
    );
  }
  return 0;
}

const change =
  (verb) =>
  async ({ api, id, values }) => {
    const { job } = await json(api, "POST", `/jobs/${id}/${verb}`);
    say(values.json ? JSON.stringify(job) : `${job.id} ${job.status}`);
    return 0;
  };

try {
  const command = readCommand(process.argv.slice(2), process.env);
  const run = { watch, list, cancel: change("cancel"), retry: change("retry") }[command.command];
  process.exitCode = await run(command);
} catch (error) {
  if (!(error instanceof Stop)) throw error;
  (error.code === 0 ? say : warn)(error.message);
  process.exitCode = error.code;
}
