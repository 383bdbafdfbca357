import { PROBES, type ProbeProgram } from "./language-probes.js";
import { type LimitRange, languageLimits, NATIVE_LIMITS } from "./limits.js";

/** A compiler or interpreter of this machine. */
export type NativeToolchainName = "python" | "node" | "c";

/** A language the sandbox knows; whether it runs here is found out by its probes. */
export interface LanguageDefinition {
  readonly id: string;
  readonly aliases: readonly string[];
  /** Of a program's only file, without the dot. */
  readonly extension: string;
  readonly multiFile: boolean;
  readonly stdin: boolean;
  /** Whether programs can read and write files of their own. */
  readonly files: boolean;
  readonly limits: LimitRange;
  /** Of a language that this machine's own compiler or interpreter runs. */
  readonly native?: NativeToolchainName;
  /** One that must work, and some that must be refused or ended. */
  readonly probes: readonly ProbeProgram[];
}

const QUICKJS = {
  multiFile: true,
  stdin: true,
  files: false,
  limits: languageLimits({ default: 64, minimum: 4, maximum: 1024 }),
};

const NATIVE = { multiFile: true, stdin: true, files: true, limits: NATIVE_LIMITS };

/** A new WebAssembly language is an entry here, its probes, and an engine in host/engines.mjs. */
export const LANGUAGES: readonly LanguageDefinition[] = [
  { id: "javascript", aliases: ["js", "mjs"], extension: "js", ...QUICKJS, probes: PROBES.javascript },
  { id: "typescript", aliases: ["ts", "mts"], extension: "ts", ...QUICKJS, probes: PROBES.typescript },
  {
    id: "python",
    aliases: ["py", "python3"],
    extension: "py",
    multiFile: true,
    stdin: true,
    files: true,
    // The interpreter itself holds some 25 MiB; this build asks for no more than 512.
    limits: languageLimits({ default: 128, minimum: 32, maximum: 512 }),
    probes: PROBES.python,
  },
  {
    id: "lua",
    aliases: [],
    extension: "lua",
    multiFile: true,
    stdin: true,
    files: true,
    // The module itself begins with 16 MiB.
    limits: languageLimits({ default: 128, minimum: 20, maximum: 1024 }),
    probes: PROBES.lua,
  },
  {
    id: "sql",
    aliases: ["sqlite"],
    extension: "sql",
    multiFile: true,
    stdin: false,
    files: false,
    // The module itself begins with 21 MiB.
    limits: languageLimits({ default: 64, minimum: 24, maximum: 1024 }),
    probes: PROBES.sql,
  },
  {
    id: "python-native",
    aliases: [],
    extension: "py",
    ...NATIVE,
    native: "python",
    probes: PROBES.pythonNative,
  },
  {
    id: "node-native",
    aliases: ["node", "nodejs"],
    extension: "mjs",
    ...NATIVE,
    native: "node",
    probes: PROBES.nodeNative,
  },
  { id: "c-native", aliases: ["c"], extension: "c", ...NATIVE, native: "c", probes: PROBES.cNative },
];

/** The language of an id or alias, in any case of letters. */
export function findLanguage(name: string): LanguageDefinition | undefined {
  const wanted = name.toLowerCase();
  return LANGUAGES.find(({ id, aliases }) => id === wanted || aliases.includes(wanted));
}
