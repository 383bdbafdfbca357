/** A body no honest client sends, and what it must be answered with. */
export interface HostileBody {
  readonly name: string;
  readonly raw: string | Uint8Array;
  readonly status: number;
  readonly code: string;
  /** Pointer of the first error; undefined: any. */
  readonly pointer?: string;
}

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** Objects and values where a string is meant: operators of query languages, lists, numbers. */
const NOT_A_STRING: readonly Json[] = [
  { $ne: null },
  { $gt: "" },
  { $regex: ".*" },
  { $where: "sleep(2000)" },
  { toString: "x" },
  ["a"],
  [],
  1,
  true,
];

/** Members that would give rights or identities, were they copied into a row. */
const EXTRA = [
  "id",
  "_id",
  "ownerId",
  "userId",
  "tenantId",
  "createdAt",
  "version",
  "emailVerified",
  "isAdmin",
  "role",
  "passwordHash",
  "$where",
  "constructor",
  "prototype",
  "toString",
  "a/b~c",
];

const MIB = 1024 * 1024;

/** The table: every hostile body made from a valid one. `free` are pointers below which any JSON is welcome. */
export function hostileBodies(valid: unknown, free: readonly string[] = []): HostileBody[] {
  const json = JSON.stringify(valid);
  const inside = (member: string) => json.replace(/^\{/, `{${member}${json === "{}" ? "" : ","}`);
  const invalidJson = (name: string, raw: string | Uint8Array): HostileBody => ({
    name,
    raw,
    status: 400,
    code: "invalid_json",
    pointer: "",
  });
  const deep = (name: string, raw: string): HostileBody => ({
    name,
    raw,
    status: 400,
    code: "too_deep",
    pointer: "",
  });
  const wrong = (name: string, raw: string, pointer?: string): HostileBody => ({
    name,
    raw,
    status: 400,
    code: "validation_failed",
    ...(pointer === undefined ? {} : { pointer }),
  });
  return [
    invalidJson("an open object", json.slice(0, -1)),
    invalidJson("something behind it", `${json}x`),
    invalidJson("single quotes", "{'a':1}"),
    invalidJson("a bare word", "undefined"),
    invalidJson("a number that is none", "NaN"),
    invalidJson("bytes that are no UTF-8", Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)),
    invalidJson("UTF-16", new Uint8Array(Buffer.from(json, "utf16le"))),
    invalidJson("white space", "  "),
    invalidJson("a repeated member", inside('"zz":1,"zz":2')),
    deep("33 brackets", inside(`"zz":${"[".repeat(33)}${"]".repeat(33)}`)),
    deep("5,000 brackets", "[".repeat(5_000) + "]".repeat(5_000)),
    deep("5,000 open brackets", "[".repeat(5_000)),
    deep("5,000 objects", '{"a":'.repeat(5_000) + "1" + "}".repeat(5_000)),
    deep("50,000 brackets in a member", inside(`"zz":${"[".repeat(50_000)}${"]".repeat(50_000)}`)),
    wrong("null", "null", ""),
    wrong("a list", `[${json}]`, ""),
    wrong("a string", '"text"', ""),
    wrong("a number", "1", ""),
    wrong("true", "true", ""),
    wrong("__proto__", inside('"__proto__":{"role":"owner","isAdmin":true}'), "/__proto__"),
    wrong("__proto__ in disguise", inside('"\\u005f_proto__":{"isAdmin":true}'), "/__proto__"),
    wrong("a name with a NUL", inside('"a\\u0000":1'), "/a\u0000"),
    wrong("a name with half a surrogate", inside('"\\ud800":1'), "/\ufffd"),
    wrong("a number beyond a double", inside('"zz":1e999'), "/zz"),
    {
      name: "a byte too many",
      raw: json + " ".repeat(MIB + 1 - json.length),
      status: 413,
      code: "payload_too_large",
      pointer: "",
    },
    ...EXTRA.filter((name) => !Object.hasOwn(valid as object, name)).map((name) =>
      wrong(
        `the unknown member ${name}`,
        inside(`${JSON.stringify(name)}:"owner"`),
        `/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`,
      ),
    ),
    ...leavesOf(valid as Json).flatMap(({ pointer, value }) =>
      badValues(valid as Json, pointer, value, free),
    ),
  ];
}

function badValues(valid: Json, pointer: string, value: Json, free: readonly string[]): HostileBody[] {
  const put = (name: string, text: string): HostileBody => ({
    name: `${pointer} is ${name}`,
    raw: replaced(valid, pointer, text),
    status: 400,
    code: "validation_failed",
    pointer,
  });
  const always = [
    put("a NUL", '"a\\u0000b"'),
    put("half a surrogate", '"\\ud83e"'),
    put("surrogates the wrong way round", '"\\udd80\\ud83e"'),
  ];
  if (free.some((each) => pointer.startsWith(`${each}/`))) {
    const polluted = (name: string) => ({
      ...put(`${name} below it`, `{"${name}":{"isAdmin":true}}`),
      pointer: `${pointer}/${name}`,
    });
    return [...always, polluted("__proto__"), polluted("constructor"), polluted("prototype")];
  }
  if (typeof value === "string") {
    const objects = NOT_A_STRING.map((other) => put(JSON.stringify(other), JSON.stringify(other)));
    // Of a list it may be the whole that is too long.
    const { pointer: _at, ...long } = put("very long", JSON.stringify("a".repeat(900_000)));
    return [...always, ...objects, long];
  }
  if (typeof value === "number")
    return [
      ...always,
      ...["-0.5", "1e300", "9007199254740993", '"1"', "{}", "[1]", "true"].map((text) => put(text, text)),
    ];
  return [...always, ...["1", '"true"', "{}", "[]"].map((text) => put(text, text))];
}

/** Every value that is neither an object nor a list, and empty ones, with its pointer. */
function leavesOf(value: Json, pointer = ""): { pointer: string; value: Json }[] {
  if (value === null || typeof value !== "object") return [{ pointer, value }];
  const members = Array.isArray(value)
    ? value.map((item, i) => [String(i), item] as const)
    : Object.entries(value);
  return members.flatMap(([name, member]) => leavesOf(member, `${pointer}/${name}`));
}

/** `valid` as JSON with `text` in place of the value at `pointer`. */
function replaced(valid: Json, pointer: string, text: string): string {
  const mark = "\u0001here\u0001";
  const copy = JSON.parse(JSON.stringify(valid)) as Json;
  const path = pointer.split("/").slice(1);
  const last = path.pop() ?? "";
  const holder = path.reduce<any>((at, name) => at[name], copy);
  holder[last] = mark;
  return JSON.stringify(copy).replace(JSON.stringify(mark), () => text);
}

/** What is no id, though it may look like one of some other system; each is 400. */
export const BAD_IDS: readonly string[] = [
  "1",
  "0",
  "-1",
  "null",
  "undefined",
  "[object Object]",
  "507f1f77bcf86cd799439011",
  "00000000-0000-0000-0000-00000000000",
  "{01890a5d-ac96-774b-bcce-b302099a8057}",
  "01890a5d-ac96-774b-bcce-b302099a8057'--",
  "01890a5dac96774bbcceb302099a8057",
  "a".repeat(300),
  "\u0000",
  "' or 1=1--",
  "$ne",
  "__proto__",
  "../../etc/passwd",
  "é",
  "🦀",
];

/** Queries that no operation takes; each is 400 with a pointer that begins with `?`. */
export const BAD_QUERIES: readonly string[] = [
  "q[$ne]=",
  "unknown=1",
  "unknown=1&unknown=2",
  "__proto__=1",
  "__proto__[isAdmin]=1",
  "constructor[prototype][x]=1",
  "sort=passwordHash",
  "$where=sleep(2000)",
  "%00=1",
  "=",
  "access_token=x",
];

/** Odd names a file may have. */
export const FINE_PATHS: readonly string[] = ["';select pg_sleep(2)--", "[object Object]", "🦀"];

/** Values that fit no query parameter of ours, but for paths of files. */
export const BAD_QUERY_VALUES: readonly string[] = [
  "%00",
  "a%00b",
  "%ED%A0%80",
  "",
  "x".repeat(2_000),
  ...FINE_PATHS,
];

/** Values that are no limit. */
export const BAD_LIMITS: readonly string[] = [
  "-1",
  "0",
  "101",
  "1e9",
  "1;",
  "1.5",
  "0x10",
  "",
  "NaN",
  "1&limit=2",
];
