/**
 * Makes a defect in the node that is started with `--import …/break-hooks.mjs?name=…`: a line of the built code is replaced
 * while it is loaded. A line that is not there exactly once ends the node, so that a defect cannot silently vanish.
 */
import { register } from "node:module";
import { isMainThread } from "node:worker_threads";

const DEFECTS = {
  // A client is told that its edit is kept when it has merely been queued.
  "ack-before-commit": {
    file: "/dist/documents/room.js",
    lines: [
      [
        "        this.#track(this.log.append({ documentId: this.id, update, userId: client.userId }).then((seq) => {\n",
        "        client.kept(update);\n        this.#track(this.log.append({ documentId: this.id, update, userId: client.userId }).then((seq) => {\n",
      ],
      [
        "            if (this.clients.has(client))\n                this.#acks.kept(client, update, unfounded);\n",
        "",
      ],
    ],
  },
  // The role of a person is not asked for when they type.
  "viewers-write": {
    file: "/dist/documents/room.js",
    lines: [["        if (!client.mayWrite) {\n", "        if (client.mayWrite === undefined) {\n"]],
  },
  // An event whose consumer failed is passed over.
  "events-passed-over": {
    file: "/dist/events/dispatcher.js",
    lines: [
      [
        "            await consumer.handle(events);\n",
        "            await consumer.handle(events).catch(() => undefined);\n",
      ],
    ],
  },
  // What pub/sub lost is not looked for in the log.
  "no-repair": {
    file: "/dist/documents/rooms.js",
    lines: [
      ["        if (comparing || closed)\n", "        if (true)\n"],
      ["            if (!entry.room.hasHole)\n", "            if (true)\n"],
    ],
  },
};

const defect = DEFECTS[new URL(import.meta.url).searchParams.get("name")];
if (!defect) throw new Error("no such defect");
if (isMainThread) register(import.meta.url);

export async function load(url, context, nextLoad) {
  const loaded = await nextLoad(url, context);
  if (!url.endsWith(defect.file)) return loaded;
  let source = Buffer.from(loaded.source).toString("utf8");
  for (const [line, instead] of defect.lines) {
    if (source.split(line).length !== 2) throw new Error(`${defect.file} has not exactly one line ${line}`);
    source = source.replace(line, () => instead);
  }
  return { ...loaded, source };
}
