/**
 * The canonical bytes of an order (RFC 8785), for the only values an order may hold: strings, arrays, plain objects.
 *
 * Anything else throws: a number would have to be printed by two languages alike, and a lone surrogate has no UTF-8.
 */

/** @param {unknown} value @returns {string} canonical JSON text @throws {TypeError} on any other kind of value */
export function canonical(value) {
  if (typeof value === "string") return text(value);
  if (Array.isArray(value)) return `[${Array.from(value, canonical).join(",")}]`;
  if (isPlain(value)) {
    // JavaScript compares strings by UTF-16 code units, which is the order RFC 8785 asks for.
    const names = Object.keys(value).sort();
    return `{${names.map((name) => `${text(name)}:${canonical(value[name])}`).join(",")}}`;
  }
  throw new TypeError("an order holds only strings, arrays and objects");
}

function text(value) {
  if (/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(value)) {
    throw new TypeError("a lone surrogate cannot be written as UTF-8");
  }
  return JSON.stringify(value);
}

function isPlain(value) {
  if (value === null || typeof value !== "object") return false;
  const parent = Object.getPrototypeOf(value);
  return parent === Object.prototype || parent === null;
}
