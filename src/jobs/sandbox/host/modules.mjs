// How an import finds a file of the program, the same for every language whose programs are ES modules.

const CODE = /\.[cm]?[jt]s$/;

/**
 * The file that `specifier` means in `importer`, or undefined.
 * @param {string} importer
 * @param {string} specifier
 * @param {{has(path: string): boolean}} files
 * @param {readonly string[]} extensions tried in order when the specifier names none
 * @returns {string | undefined}
 */
export function resolveImport(importer, specifier, files, extensions) {
  const absolute = specifier.startsWith("/");
  if (!absolute && !/^\.\.?(?:\/|$)/.test(specifier)) return undefined;
  const parts = absolute ? [] : importer.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) return undefined;
  }
  const path = parts.join("/");
  const stem = path.replace(/\.([cm]?)js$/, ".$1");
  const candidates = [
    path,
    ...extensions.map((extension) => path + extension),
    ...(stem === path
      ? []
      : [`${stem}ts`].filter((name) => extensions.some((extension) => name.endsWith(extension)))),
    ...extensions.map((extension) => `${path}/index${extension}`),
  ];
  return candidates.find((name) => files.has(name));
}

/**
 * The module source of a file: code as it is, JSON as its value, anything else as text.
 * @param {string} path
 * @param {string} source
 * @param {boolean} isEntry
 * @returns {{code: boolean, source: string}}
 */
export function moduleSource(path, source, isEntry) {
  if (isEntry || CODE.test(path)) return { code: true, source };
  const text = JSON.stringify(source);
  return {
    code: false,
    source: path.endsWith(".json") ? `export default JSON.parse(${text});` : `export default ${text};`,
  };
}
