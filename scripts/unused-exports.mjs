// Every export of src is imported somewhere (src, test or bench), and every one of sdk/src and console/src within it; what the client offers its
// users is what its entry points export.
import { readFileSync } from "node:fs";
import path from "node:path";
import { parseSync } from "@swc/core";
import { ROOT } from "./prepare.mjs";
import { sources } from "./sources.mjs";

const files = sources(["src", "test", "bench", "sdk/src", "console/src"], [".ts", ".tsx"]);
const ENTRIES = new Set(["client.ts", "document.ts"].map((name) => path.join(ROOT, "sdk/src", name)));
const CHECKED = ["src", "sdk/src", "console/src"].map((folder) => path.join(ROOT, folder) + path.sep);
/** Sources by the name imports give them. */
const known = new Map(files.map((file) => [file.replace(/\.tsx?$/, ".js"), file]));
const exported = new Map();
const used = new Set();

for (const file of files) {
  const text = readFileSync(file, "utf8");
  const { body } = parseSync(text, { syntax: "typescript", tsx: file.endsWith(".tsx"), target: "es2022" });
  for (const item of body) {
    if (
      item.type === "ImportDeclaration" ||
      item.type === "ExportNamedDeclaration" ||
      item.type === "ExportAllDeclaration"
    ) {
      if (item.source) noteImport(file, item);
    }
    if (
      item.type === "ExportDeclaration" &&
      !ENTRIES.has(file) &&
      !file.includes("/generated/") &&
      CHECKED.some((folder) => file.startsWith(folder))
    ) {
      for (const name of namesOf(item.declaration)) exported.set(`${file}#${name}`, text);
    }
  }
  for (const [, specifier] of text.matchAll(/import\(\s*"(\.[^"]+)"/g))
    used.add(`${resolve(file, specifier)}#*`);
}

function noteImport(file, item) {
  if (!item.source.value.startsWith(".")) return;
  const target = resolve(file, item.source.value);
  for (const specifier of item.specifiers ?? []) {
    if (specifier.type === "ImportNamespaceSpecifier") used.add(`${target}#*`);
    else used.add(`${target}#${(specifier.imported ?? specifier.orig ?? specifier.local)?.value}`);
  }
}

function resolve(file, specifier) {
  const target = path.resolve(path.dirname(file), specifier);
  return known.get(target) ?? target;
}

function namesOf(declaration) {
  if (declaration.type === "VariableDeclaration") return declaration.declarations.map(({ id }) => id.value);
  return [(declaration.identifier ?? declaration.id)?.value];
}

let bad = 0;
for (const [key, text] of exported) {
  const [file, name] = key.split("#");
  if (used.has(key) || used.has(`${file}#*`)) continue;
  // A type that an exported signature names is part of that signature.
  const mentions = text.match(new RegExp(`\\b${name}\\b`, "g"))?.length ?? 0;
  if (mentions > 1) continue;
  console.log(`${path.relative(ROOT, file)}: ${name} is exported and not used`);
  bad += 1;
}
process.exit(bad === 0 ? 0 : 1);
