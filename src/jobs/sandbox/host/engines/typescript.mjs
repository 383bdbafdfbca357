// TypeScript becomes JavaScript by taking the types away (sucrase): lines stay where they are, types are not checked.
// It parses hostile source, so it is loaded in the program's own thread only.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { ProgramRefused } from "./program-refused.mjs";

/** @typedef {import("./quickjs-languages.mjs").QuickjsLanguage} QuickjsLanguage */
/** @typedef {{start: number, end: number, isType: boolean}} Token */

const JAVASCRIPT = /\.[cm]?js$/;

/** @param {import("../engine.d.mts").Packages} packages @returns {QuickjsLanguage} */
export function createTypeScript(packages) {
  const sucrase = packages["sucrase"] ?? "";
  const require = createRequire(sucrase);
  /** @type {typeof import("sucrase")} */
  const { transform } = require(sucrase);
  /** @type {{parse: (source: string, jsx: boolean, typescript: boolean, flow: boolean) => {tokens: Token[]}}} */
  const { parse } = require(join(dirname(sucrase), "parser", "index.js"));

  return {
    extensions: [".ts", ".mts", ".js", ".mjs"],
    transform(source, path) {
      if (JAVASCRIPT.test(path)) return source;
      try {
        if (/\b(?:namespace|module)\b/.test(source))
          refuseNamespaces(source, path, parse(source, false, true, false).tokens);
        return transform(source, { transforms: ["typescript"], disableESTransforms: true, filePath: path })
          .code;
      } catch (error) {
        if (error instanceof ProgramRefused) throw error;
        throw new ProgramRefused(problemOf(error, path));
      }
    },
  };
}

/**
 * Sucrase takes a namespace for a type and leaves it out without a word.
 * @param {string} source
 * @param {string} path
 * @param {Token[]} tokens
 */
function refuseNamespaces(source, path, tokens) {
  const text = (/** @type {number} */ at) => {
    const token = tokens[at];
    return token?.isType ? source.slice(token.start, token.end) : "";
  };
  const isNamespace = (/** @type {number} */ at) =>
    (text(at) === "namespace" || text(at) === "module") &&
    /^[\p{ID_Start}$_]/u.test(text(at + 1)) &&
    (text(at + 2) === "{" || text(at + 2) === ".");
  let declared = 0;
  for (let at = 0; at < tokens.length; at++) {
    if (declared > 0) {
      // Everything inside `declare namespace` is a declaration.
      if (text(at) === "{") declared++;
      else if (text(at) === "}" && --declared === 1) declared = 0;
    } else if (text(at) === "declare" && (isNamespace(at + 1) || /^['"]/.test(text(at + 2)))) {
      declared = 1;
    } else if (isNamespace(at)) {
      const before = source.slice(0, tokens[at]?.start).split("\n");
      throw new ProgramRefused({
        kind: "SyntaxError",
        message: "Namespaces are not supported here; use modules",
        file: path,
        line: before.length,
        column: (before.at(-1)?.length ?? 0) + 1,
      });
    }
  }
}

/** @param {unknown} error @param {string} path @returns {import("../engine.d.mts").ProgramError} */
function problemOf(error, path) {
  if (error instanceof RangeError)
    return { kind: "SyntaxError", message: "The source is nested too deeply", file: path };
  const { message, loc } = /** @type {{message?: unknown, loc?: {line?: unknown, column?: unknown}}} */ (
    error ?? {}
  );
  const place =
    typeof loc?.line === "number" && typeof loc.column === "number"
      ? { line: loc.line, column: loc.column }
      : {};
  const reason = String(message ?? "The file cannot be read");
  return {
    kind: "SyntaxError",
    message: reason.replace(/^Error transforming [^:]*: /, "").replace(/ \(\d+:\d+\)$/, ""),
    file: path,
    ...place,
  };
}
