import type { LanguageSupport, StreamLanguage } from "@codemirror/language";

type Loaded = LanguageSupport | StreamLanguage<unknown>;

const legacy = async (load: () => Promise<unknown>, name: string): Promise<Loaded> => {
  const [{ StreamLanguage }, mode] = await Promise.all([import("@codemirror/language"), load()]);
  return StreamLanguage.define((mode as Record<string, never>)[name] as never);
};
const js = (options: { readonly jsx?: boolean; readonly typescript?: boolean }) => async () =>
  (await import("@codemirror/lang-javascript")).javascript(options);

/** Grammars by the ending of a file; each is loaded when the first such file is opened. */
const GRAMMARS: Readonly<Record<string, () => Promise<Loaded>>> = {
  js: js({}),
  mjs: js({}),
  cjs: js({}),
  jsx: js({ jsx: true }),
  ts: js({ typescript: true }),
  mts: js({ typescript: true }),
  tsx: js({ jsx: true, typescript: true }),
  py: async () => (await import("@codemirror/lang-python")).python(),
  json: async () => (await import("@codemirror/lang-json")).json(),
  md: async () => (await import("@codemirror/lang-markdown")).markdown(),
  css: async () => (await import("@codemirror/lang-css")).css(),
  html: async () => (await import("@codemirror/lang-html")).html(),
  sql: async () => (await import("@codemirror/lang-sql")).sql(),
  rb: () => legacy(() => import("@codemirror/legacy-modes/mode/ruby"), "ruby"),
  lua: () => legacy(() => import("@codemirror/legacy-modes/mode/lua"), "lua"),
  sh: () => legacy(() => import("@codemirror/legacy-modes/mode/shell"), "shell"),
  toml: () => legacy(() => import("@codemirror/legacy-modes/mode/toml"), "toml"),
  yaml: () => legacy(() => import("@codemirror/legacy-modes/mode/yaml"), "yaml"),
  yml: () => legacy(() => import("@codemirror/legacy-modes/mode/yaml"), "yaml"),
  xml: () => legacy(() => import("@codemirror/legacy-modes/mode/xml"), "xml"),
  svg: () => legacy(() => import("@codemirror/legacy-modes/mode/xml"), "xml"),
  go: () => legacy(() => import("@codemirror/legacy-modes/mode/go"), "go"),
  rs: () => legacy(() => import("@codemirror/legacy-modes/mode/rust"), "rust"),
  c: () => legacy(() => import("@codemirror/legacy-modes/mode/clike"), "c"),
  h: () => legacy(() => import("@codemirror/legacy-modes/mode/clike"), "c"),
  cpp: () => legacy(() => import("@codemirror/legacy-modes/mode/clike"), "cpp"),
  java: () => legacy(() => import("@codemirror/legacy-modes/mode/clike"), "java"),
  pl: () => legacy(() => import("@codemirror/legacy-modes/mode/perl"), "perl"),
  r: () => legacy(() => import("@codemirror/legacy-modes/mode/r"), "r"),
  scm: () => legacy(() => import("@codemirror/legacy-modes/mode/scheme"), "scheme"),
};

/** The grammar for a path; undefined when there is none. */
export function grammarOf(path: string): Promise<Loaded> | undefined {
  return GRAMMARS[endingOf(path)]?.();
}

/** The ending of a path in lower case, without the dot. */
export function endingOf(path: string): string {
  return /\.([^./]+)$/.exec(path)?.[1]?.toLowerCase() ?? "";
}
