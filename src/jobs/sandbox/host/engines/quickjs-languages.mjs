/**
 * A language that becomes JavaScript.
 * @typedef {object} QuickjsLanguage
 * @property {readonly string[]} extensions tried in order for an import that names none
 * @property {(source: string, path: string) => string} transform throws `ProgramRefused` for a file that is not valid
 */

/**
 * @param {string} language
 * @param {import("../engine.d.mts").Packages} packages
 * @returns {Promise<QuickjsLanguage>}
 */
export async function languageOf(language, packages) {
  if (language === "javascript") return { extensions: [".js", ".mjs"], transform: (source) => source };
  const { createTypeScript } = await import("./typescript.mjs");
  return createTypeScript(packages);
}
