/**
 * A language that becomes JavaScript.
 * @typedef {object} QuickjsLanguage
 * @property {readonly string[]} extensions tried in order for an import that names none
 * @property {(source: string, path: string) => string} transform throws `ProgramRefused` for a file that is not valid
 */

/** Thrown by a transform for a file that is not valid. */
export class ProgramRefused extends Error {
  /** @param {import("../engine.d.mts").ProgramError} problem */
  constructor(problem) {
    super(problem.message);
    this.problem = problem;
  }
}

/**
 * @param {string} language
 * @param {import("../engine.d.mts").Packages} _packages
 * @returns {Promise<QuickjsLanguage>}
 */
export async function languageOf(language, _packages) {
  if (language === "javascript") return { extensions: [".js", ".mjs"], transform: (source) => source };
  throw new Error(`No way to turn ${language} into JavaScript`);
}
