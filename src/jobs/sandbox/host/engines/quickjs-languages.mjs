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

/** @satisfies {Record<string, (packages: import("../engine.d.mts").Packages) => Promise<QuickjsLanguage>>} */
export const LANGUAGES = {
  javascript: async () => ({ extensions: [".js", ".mjs"], transform: (/** @type {string} */ source) => source }),
};
