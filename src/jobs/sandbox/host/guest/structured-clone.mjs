const { DOMException } = globalThis;

/**
 * The structured clone algorithm for values of one realm; without transfer. In the guest's own language, where recursion has
 * a checked depth.
 * @param {unknown} value
 */
export function structuredClone(value) {
  return clone(value, new Map());
}

/** @param {unknown} value @param {Map<object, unknown>} done @returns {unknown} */
function clone(value, done) {
  if (typeof value === "symbol" || typeof value === "function") throw refused(value);
  if (typeof value !== "object" || value === null) return value;
  if (done.has(value)) return done.get(value);
  const copy = emptyCopy(value, done);
  done.set(value, copy);
  if (value instanceof Map && copy instanceof Map) {
    for (const [key, entry] of value) copy.set(clone(key, done), clone(entry, done));
  } else if (value instanceof Set && copy instanceof Set) {
    for (const entry of value) copy.add(clone(entry, done));
  } else if (value instanceof Error && copy instanceof Error) {
    for (const name of ["message", "stack", "cause"]) {
      const property = Object.getOwnPropertyDescriptor(value, name);
      if (property && "value" in property) {
        Object.defineProperty(copy, name, { ...property, value: clone(property.value, done) });
      }
    }
  } else if (isPlain(value)) {
    for (const key of Object.keys(value)) {
      const entry = clone(Reflect.get(value, key), done);
      Object.defineProperty(copy, key, {
        value: entry,
        writable: true,
        enumerable: true,
        configurable: true,
      });
    }
  }
  return copy;
}

const ERRORS = [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError];

/** @param {object} value @param {Map<object, unknown>} done @returns {object} */
function emptyCopy(value, done) {
  if (Array.isArray(value)) return Object.assign([], { length: value.length });
  if (value instanceof Map) return new Map();
  if (value instanceof Set) return new Set();
  if (value instanceof Date) return new Date(value.getTime());
  if (value instanceof RegExp) return new RegExp(value.source, value.flags);
  if (value instanceof Error) return new (ERRORS.find((kind) => kind.name === value.name) ?? Error)();
  if (value instanceof ArrayBuffer) return value.slice(0);
  if (
    value instanceof Boolean ||
    value instanceof Number ||
    value instanceof String ||
    value instanceof BigInt
  ) {
    return Object(value.valueOf());
  }
  if (ArrayBuffer.isView(value)) {
    const buffer = clone(value.buffer, done);
    const length = "length" in value ? value.length : value.byteLength;
    return Reflect.construct(value.constructor, [buffer, value.byteOffset, length]);
  }
  if (isPlain(value)) return {};
  throw refused(value);
}

/** Objects of a class of the program are copied as plain ones, those of the engine are refused. @param {object} value */
function isPlain(value) {
  const tag = Object.prototype.toString.call(value);
  return Array.isArray(value) || tag === "[object Object]" || tag === "[object Arguments]";
}

/** @param {unknown} value */
function refused(value) {
  return new DOMException(`${String(value)} could not be cloned.`, "DataCloneError");
}
