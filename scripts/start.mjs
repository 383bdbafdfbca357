// npm start: installs and builds what is missing, then runs the service in this process.

import path from "node:path";
import { pathToFileURL } from "node:url";
import { build, install, ROOT } from "./prepare.mjs";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Atelier needs Node.js 20.19 or newer; this is ${process.versions.node}.`);
  process.exit(1);
}
install();
build();
await import(pathToFileURL(path.join(ROOT, "dist", "main.js")).href);
