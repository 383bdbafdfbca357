// Tries what the fence around an engine host must prevent. Argument 1: JSON `{read: path[], port: number}`.
// The answer is the exit code, 64 plus: 1 a file was read, 2 the network was reached, 4 there is an environment, 8 a process
// was started.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect } from "node:net";

/** @type {{read: string[], port: number}} */
const { read, port } = JSON.parse(process.argv[2] ?? "{}");

/** @param {() => void} act */
function works(act) {
  try {
    act();
    return true;
  } catch {
    return false;
  }
}

const reached = await new Promise((resolve) => {
  const socket = connect(port, "127.0.0.1");
  socket.once("connect", () => resolve(true));
  socket.once("error", () => resolve(false));
});
const started = works(() => {
  const { error } = spawnSync(process.execPath, ["--version"]);
  if (error) throw error;
});
process.exit(
  64 +
    (read.some((path) => works(() => readFileSync(path))) ? 1 : 0) +
    (reached ? 2 : 0) +
    // Bubblewrap itself sets PWD.
    (Object.keys(process.env).some((name) => name !== "PWD") ? 4 : 0) +
    (started ? 8 : 0),
);
