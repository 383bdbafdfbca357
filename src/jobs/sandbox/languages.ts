import { PROBES, type ProbeProgram } from "./language-probes.js";
import { type LimitRange, wasmLimits } from "./limits.js";

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
  /** One that must work, and some that must be refused or ended. */
  readonly probes: readonly ProbeProgram[];
}

const QUICKJS = {
  multiFile: true,
  stdin: true,
  files: false,
  limits: wasmLimits({ default: 64, minimum: 4, maximum: 1024 }),
};

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
    limits: wasmLimits({ default: 128, minimum: 32, maximum: 512 }),
    probes: PROBES.python,
  },
];

/** The language of an id or alias, in any case of letters. */
export function findLanguage(name: string): LanguageDefinition | undefined {
  const wanted = name.toLowerCase();
  return LANGUAGES.find(({ id, aliases }) => id === wanted || aliases.includes(wanted));
}
