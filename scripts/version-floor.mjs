// Packages must not fall below the version that fixed what is known about them (docs/security.md).
import { readFileSync } from "node:fs";
import path from "node:path";
import { ROOT } from "./prepare.mjs";

const FLOOR = {
  ws: "8.21.1",
  "proxy-addr": "2.0.8",
  qs: "6.16.0",
  "body-parser": "2.4.0",
  express: "5.3.0",
  nodemailer: "10.4.1",
};
const { packages } = JSON.parse(readFileSync(path.join(ROOT, "package-lock.json"), "utf8"));
let bad = 0;
for (const [where, { version, resolved, dev, link }] of Object.entries(packages)) {
  const name = where.split("node_modules/").pop();
  const floor = FLOOR[name];
  // Old clients the tests speak to bring old packages with them; nothing of those is ever served.
  if (floor && !dev && below(version, floor)) {
    console.log(`${where} is ${version}; the floor is ${floor}`);
    bad += 1;
  }
  // A package of this project is a link to its folder.
  if (resolved && !link) {
    console.log(`${where} names a download address in package-lock.json`);
    bad += 1;
  }
}

function below(version, floor) {
  const [a, b] = [version, floor].map((text) => text.split("-")[0].split(".").map(Number));
  for (let i = 0; i < 3; i++) if (a[i] !== b[i]) return a[i] < b[i];
  return false;
}
process.exit(bad === 0 ? 0 : 1);
