/** A process to be killed: locks the folder in its first argument, tells its parent and waits. */
import { lockFolder } from "../../src/platform/database/folder-lock.js";

await lockFolder(process.argv[2] ?? "");
process.send?.("locked");
setInterval(() => undefined, 60_000);
