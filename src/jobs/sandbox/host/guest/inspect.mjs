// Runs inside the guest, beside hostile values: a getter, proxy or toString that misbehaves harms its own program only.

const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;
const LINE_WIDTH = 80;
// How many levels of nesting may stand on one line.
const LEVELS_PER_LINE = 3;
const MOST_ITEMS = 100;
const MOST_STRING = 10_000;
const BOXES = [Number, Boolean, String, Symbol, BigInt];
const ESCAPES = {
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\b": "\\b",
  "\f": "\\f",
  "\v": "\\v",
  "\\": "\\\\",
};

/**
 * @typedef {object} Walk
 * @property {number} depth
 * @property {object[]} path
 * @property {Map<object, number>} circular
 * @property {number} entered level of the object that was entered last
 */

/**
 * One value as a person reads it, in the manner of Node's `util.inspect`.
 * @param {unknown} value
 * @param {{depth?: number | null}} [options]
 * @returns {string}
 */
export function inspect(value, options = {}) {
  const depth = options.depth === undefined ? 2 : options.depth === null ? Infinity : options.depth;
  return render(value, { depth, path: [], circular: new Map(), entered: 0 }, 0);
}

/** @param {string} text */
function quote(text) {
  const shown = text.length > MOST_STRING ? text.slice(0, MOST_STRING) : text;
  const mark = !shown.includes("'") ? "'" : !shown.includes('"') ? '"' : !shown.includes("`") ? "`" : "'";
  let out = "";
  for (const char of shown) {
    const code = char.codePointAt(0) ?? 0;
    if (char === mark) out += `\\${char}`;
    else if (char in ESCAPES) out += ESCAPES[/** @type {keyof typeof ESCAPES} */ (char)];
    else if (code < 32 || code === 127) out += `\\x${code.toString(16).toUpperCase().padStart(2, "0")}`;
    else out += char;
  }
  const more = text.length - shown.length;
  return `${mark}${out}${mark}${more > 0 ? `... ${more} more character${more > 1 ? "s" : ""}` : ""}`;
}

/** @param {unknown} value @param {Walk} walk @param {number} level */
function render(value, walk, level) {
  switch (typeof value) {
    case "string":
      return quote(value);
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "bigint":
      return `${value}n`;
    case "symbol":
      return value.toString();
    case "function":
    case "object":
      return value === null ? "null" : renderObject(value, walk, level);
    default:
      return String(value);
  }
}

/** @param {object} value @param {Walk} walk @param {number} level @returns {string} */
function renderObject(value, walk, level) {
  if (walk.path.includes(value)) {
    const known = walk.circular.get(value) ?? walk.circular.size + 1;
    walk.circular.set(value, known);
    return `[Circular *${known}]`;
  }
  const shape = shapeOf(value);
  if (level > walk.depth && !shape.leaf && !isEmpty(value))
    return `[${shape.name || "Object: null prototype"}]`;
  walk.path.push(value);
  const entered = walk.entered;
  walk.entered = level;
  const items = [...shape.items(walk, level + 1), ...properties(value, shape, walk, level + 1)];
  walk.path.pop();
  const reference = walk.circular.get(value);
  const prefix = [
    ...(reference === undefined ? [] : [`<ref *${reference}>`]),
    ...(shape.prefix ? [shape.prefix] : []),
  ].join(" ");
  if (items.length > 0)
    return layOut(prefix, shape.open, items, level, walk.entered - level < LEVELS_PER_LINE);
  walk.entered = entered;
  return shape.leaf ? prefix : `${prefix}${prefix && " "}${shape.open === "[" ? "[]" : "{}"}`;
}

/** @param {string} prefix @param {string} open @param {string[]} items @param {number} level @param {boolean} shallow */
function layOut(prefix, open, items, level, shallow) {
  const close = open === "[" ? "]" : "}";
  const head = prefix === "" ? open : `${prefix} ${open}`;
  const rows = open === "[" ? columns(items, level) : items;
  const width = items.reduce((sum, item) => sum + item.length + 2, head.length + level * 2 + 10);
  const fits = shallow && rows === items && width <= LINE_WIDTH && !items.some((item) => item.includes("\n"));
  if (fits) return `${head} ${items.join(", ")} ${close}`;
  const indent = `\n${"  ".repeat(level)}`;
  return `${head}${indent}  ${rows.join(`,${indent}  `)}${indent}${close}`;
}

/**
 * Long lists of short items of about one length go several to a row, in columns; numbers to the right.
 * @param {string[]} items
 * @param {number} level
 */
function columns(items, level) {
  const counted = items.at(-1)?.startsWith("... ") ? items.slice(0, -1) : items;
  if (counted.length <= 6 || items.some((item) => item.includes("\n"))) return items;
  const total = counted.reduce((sum, item) => sum + item.length + 2, 0);
  const widest = counted.reduce((most, item) => Math.max(most, item.length), 0) + 2;
  if (widest * 3 + level * 2 >= LINE_WIDTH || (total / widest <= 5 && widest > 8)) return items;
  const usual = Math.max(widest - 3 - Math.sqrt(widest - total / items.length), 1);
  const perRow = Math.min(
    Math.round(Math.sqrt(2.5 * usual * counted.length) / usual),
    Math.floor((LINE_WIDTH - level * 2) / widest),
    12,
    15,
  );
  if (perRow <= 1) return items;
  const widths = Array.from({ length: perRow }, (_, column) =>
    counted.reduce((most, item, i) => (i % perRow === column ? Math.max(most, item.length) : most), 0),
  );
  const numeric = counted.every((item) => /^-?[\d.]+(?:e[+-]?\d+)?n?$|^NaN$|^-?Infinity$/.test(item));
  const rows = [];
  for (let at = 0; at < counted.length; at += perRow) {
    const row = counted.slice(at, at + perRow);
    const cells = row.map((item, i) => {
      const width = widths[i] ?? 0;
      if (numeric) return item.padStart(width);
      return i < row.length - 1 ? `${item}, `.padEnd(width + 2) : item;
    });
    rows.push(cells.join(numeric ? ", " : ""));
  }
  return [...rows, ...items.slice(counted.length)];
}

/**
 * @typedef {object} Shape
 * @property {string} name
 * @property {string} prefix
 * @property {"{" | "["} open
 * @property {boolean} leaf true when the prefix alone says everything
 * @property {(walk: Walk, level: number) => string[]} items
 * @property {(key: string) => boolean} hides
 */

/** @param {object} value @returns {Shape} */
function shapeOf(value) {
  const name = constructorName(value);
  const tag = tagOf(value, name);
  /** @type {Shape} */
  const shape = { name, prefix: "", open: "{", leaf: false, items: () => [], hides: () => false };
  if (Array.isArray(value)) {
    shape.open = "[";
    shape.prefix = name === "Array" ? "" : `${name}(${value.length})`;
    shape.items = (walk, level) => elements(value, walk, level);
    shape.hides = isIndex;
  } else if (typeof value === "function") {
    shape.leaf = true;
    shape.prefix = functionLabel(value, name);
    shape.hides = (key) => key === "prototype";
  } else if (value instanceof Error) {
    shape.leaf = true;
    shape.prefix = errorText(value);
    shape.hides = (key) => key === "stack" || key === "message";
    shape.items = (walk, level) =>
      Object.hasOwn(value, "cause") ? [`[cause]: ${render(value.cause, walk, level)}`] : [];
  } else if (value instanceof Map) {
    shape.prefix = `${name}(${value.size})${tag}`;
    shape.items = (walk, level) =>
      upTo([...value], ([key, entry]) => `${render(key, walk, level)} => ${render(entry, walk, level)}`);
  } else if (value instanceof Set) {
    shape.prefix = `${name}(${value.size})${tag}`;
    shape.items = (walk, level) => upTo([...value], (entry) => render(entry, walk, level));
  } else if (ArrayBuffer.isView(value) && "length" in value) {
    const list = /** @type {Uint8Array} */ (value);
    shape.open = "[";
    shape.prefix = `${name}(${list.length})${tag}`;
    shape.items = (walk, level) => upTo(list, (entry) => render(entry, walk, level));
    shape.hides = isIndex;
  } else if (value instanceof ArrayBuffer) {
    shape.prefix = name;
    shape.items = () => [`[Uint8Contents]: <${hexadecimal(value)}>`, `byteLength: ${value.byteLength}`];
  } else if (value instanceof Date) {
    shape.leaf = true;
    shape.prefix = Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
  } else if (value instanceof RegExp) {
    shape.leaf = true;
    shape.prefix = String(value);
    shape.hides = (key) => key === "lastIndex";
  } else if (value instanceof WeakMap || value instanceof WeakSet) {
    shape.prefix = name;
    shape.items = () => ["<items unknown>"];
  } else if (BOXES.some((box) => value instanceof box)) {
    shape.leaf = true;
    shape.prefix = `[${name}: ${inspect(value.valueOf())}]`;
    shape.hides = (key) => isIndex(key);
  } else {
    shape.prefix = plainPrefix(name, tag);
  }
  return shape;
}

/** @param {ArrayBuffer} buffer */
function hexadecimal(buffer) {
  const shown = [...new Uint8Array(buffer, 0, Math.min(buffer.byteLength, 50))];
  const more = buffer.byteLength - shown.length;
  const bytes = shown.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return more > 0 ? `${bytes} ... ${more} more byte${more > 1 ? "s" : ""}` : bytes;
}

/** @param {string} name @param {string} tag */
function plainPrefix(name, tag) {
  if (name === "") return `[Object: null prototype]${tag}`;
  return name === "Object" && tag === "" ? "" : `${name}${tag}`;
}

/** @param {object} value */
function constructorName(value) {
  for (let at = value; at !== null; at = Object.getPrototypeOf(at)) {
    const made = Object.getOwnPropertyDescriptor(at, "constructor")?.value;
    if (typeof made === "function" && typeof made.name === "string" && made.name !== "") return made.name;
  }
  return "";
}

/** @param {object} value @param {string} name */
function tagOf(value, name) {
  if (Object.prototype.propertyIsEnumerable.call(value, Symbol.toStringTag)) return "";
  const tag = Reflect.get(value, Symbol.toStringTag);
  return typeof tag === "string" && tag !== "" && tag !== name ? ` [${tag}]` : "";
}

/** @param {Function} value @param {string} kind */
function functionLabel(value, kind) {
  const label = typeof value.name === "string" && value.name !== "" ? value.name : "";
  if (Function.prototype.toString.call(value).startsWith("class")) {
    const parent = Object.getPrototypeOf(value)?.name;
    return `[class ${label || "(anonymous)"}${parent ? ` extends ${parent}` : ""}]`;
  }
  return label === "" ? `[${kind || "Function"} (anonymous)]` : `[${kind || "Function"}: ${label}]`;
}

/** `Name: message` and the stack below it. @param {Error} error */
export function errorText(error) {
  const name = String(error.name);
  const message = String(error.message);
  const title = message === "" ? name : `${name}: ${message}`;
  const stack = userFrames(error);
  return stack === "" ? `[${title}]` : `${title}\n${stack}`;
}

/**
 * The frames of an error that are the program's own, at most 20, without the constructors of its class.
 * @param {Error} error
 */
export function userFrames(error) {
  const stack = typeof error.stack === "string" ? error.stack : "";
  const lines = stack.slice(0, 16_384).split("\n");
  const frames = lines.filter((line) => line.trim() !== "" && !line.includes("(sandbox:"));
  const constructors = new Set();
  for (let at = error; at !== null && at !== Error.prototype; at = Object.getPrototypeOf(at)) {
    const name = Object.getOwnPropertyDescriptor(at, "constructor")?.value?.name;
    if (typeof name === "string") constructors.add(name);
  }
  while (frames[0] !== undefined && constructors.has(/^\s*at (\S+) \(/.exec(frames[0])?.[1])) frames.shift();
  return frames.slice(0, 20).join("\n").slice(0, 8192);
}

/** @template T @param {ArrayLike<T>} list @param {(entry: T) => string} show */
function upTo(list, show) {
  const out = [];
  for (let i = 0; i < list.length && i < MOST_ITEMS; i++) out.push(show(/** @type {T} */ (list[i])));
  const more = list.length - MOST_ITEMS;
  if (more > 0) out.push(`... ${more} more item${more > 1 ? "s" : ""}`);
  return out;
}

/** @param {unknown[]} list @param {Walk} walk @param {number} level */
function elements(list, walk, level) {
  const out = [];
  let at = 0;
  while (at < list.length && out.length < MOST_ITEMS) {
    if (Object.hasOwn(list, at)) {
      out.push(render(list[at], walk, level));
      at++;
      continue;
    }
    let next = at;
    while (next < list.length && !Object.hasOwn(list, next)) next++;
    out.push(`<${next - at} empty item${next - at > 1 ? "s" : ""}>`);
    at = next;
  }
  const more = list.length - at;
  if (more > 0) out.push(`... ${more} more item${more > 1 ? "s" : ""}`);
  return out;
}

/** @param {object} value @param {Shape} shape @param {Walk} walk @param {number} level */
function properties(value, shape, walk, level) {
  const out = [];
  for (const key of Reflect.ownKeys(value)) {
    if (typeof key === "string" && shape.hides(key)) continue;
    const property = Object.getOwnPropertyDescriptor(value, key);
    if (!property?.enumerable) continue;
    const label = typeof key === "symbol" ? `[${key.toString()}]` : IDENTIFIER.test(key) ? key : quote(key);
    out.push(`${label}: ${propertyText(property, walk, level)}`);
  }
  return out;
}

/** @param {PropertyDescriptor} property @param {Walk} walk @param {number} level */
function propertyText(property, walk, level) {
  if (property.get) return property.set ? "[Getter/Setter]" : "[Getter]";
  if (property.set) return "[Setter]";
  return render(property.value, walk, level);
}

/** @param {object} value */
function isEmpty(value) {
  return (
    Reflect.ownKeys(value).length - (Array.isArray(value) ? 1 : 0) === 0 &&
    Reflect.get(value, "size") === undefined
  );
}

/** @param {string} key */
function isIndex(key) {
  return /^(0|[1-9]\d*)$/.test(key);
}
