// As much CBOR (RFC 8949) as the bridge needs: it finds its way in requests and
// answers and passes the bytes on as they came, so that it can change nothing.

const depthLimit = 64;

// head reads the item's first bytes: major type, argument, and where the rest begins.
function head(buf, at) {
  const first = buf.readUInt8(at);
  const info = first & 0x1f;
  const major = first >> 5;
  if (info < 24) return { major, info, value: info, next: at + 1 };
  if (info === 24) return { major, info, value: buf.readUInt8(at + 1), next: at + 2 };
  if (info === 25) return { major, info, value: buf.readUInt16BE(at + 1), next: at + 3 };
  if (info === 26) return { major, info, value: buf.readUInt32BE(at + 1), next: at + 5 };
  if (info === 27) return { major, info, value: Number(buf.readBigUInt64BE(at + 1)), next: at + 9 };
  if (info === 31 && major !== 0 && major !== 1 && major !== 6) return { major, info, value: Infinity, next: at + 1 };
  throw new RangeError("malformed CBOR");
}

// skip is where the item after the one at `at` begins.
export function skip(buf, at, depth = 0) {
  if (depth > depthLimit) throw new RangeError("CBOR nested too deeply");
  const { major, info, value, next } = head(buf, at);
  const open = info === 31;
  if (major === 0 || major === 1) return next;
  if (major === 7) {
    if (open) throw new RangeError("malformed CBOR: break without a beginning");
    return next;
  }
  if (major === 6) return skip(buf, next, depth + 1);
  if ((major === 2 || major === 3) && !open) {
    if (next + value > buf.length) throw new RangeError("CBOR ends early");
    return next + value;
  }
  const items = major === 5 ? value * 2 : value;
  let here = next;
  for (let i = 0; i < items; i++) {
    if (open && buf.readUInt8(here) === 0xff) return here + 1;
    here = skip(buf, here, depth + 1);
  }
  return here;
}

// fields is the pairs of the map at `at`: its keys as text, its values as the
// bytes that they are.
export function fields(buf, at = 0) {
  const { major, info, value, next } = head(buf, at);
  if (major !== 5) throw new RangeError("not a CBOR map");
  const found = new Map();
  let here = next;
  for (let i = 0; i < value; i++) {
    if (info === 31 && buf.readUInt8(here) === 0xff) break;
    const key = text(buf, here);
    const begin = skip(buf, here);
    here = skip(buf, begin);
    found.set(key, buf.subarray(begin, here));
  }
  return found;
}

// elements is the items of the array at `at`, as bytes.
export function elements(buf, at = 0) {
  const { major, info, value, next } = head(buf, at);
  if (major !== 4) throw new RangeError("not a CBOR array");
  const found = [];
  let here = next;
  for (let i = 0; i < value; i++) {
    if (info === 31 && buf.readUInt8(here) === 0xff) break;
    const end = skip(buf, here);
    found.push(buf.subarray(here, end));
    here = end;
  }
  return found;
}

// text is the string at `at`, or undefined if something else is there.
export function text(buf, at = 0) {
  const { major, info, value, next } = head(buf, at);
  if (major !== 3 || info === 31) return undefined;
  if (next + value > buf.length) throw new RangeError("CBOR ends early");
  return buf.toString("utf8", next, next + value);
}

function header(major, n) {
  const m = major << 5;
  if (n < 24) return Buffer.from([m | n]);
  if (n < 0x100) return Buffer.from([m | 24, n]);
  if (n < 0x10000) return Buffer.from([m | 25, n >> 8, n & 0xff]);
  const long = Buffer.alloc(5);
  long[0] = m | 26;
  long.writeUInt32BE(n, 1);
  return long;
}

// encoded is the bytes of a string, a whole number of at most 32 bits, null, a
// list, or of a Buffer that holds bytes of CBOR already.
export function encoded(value) {
  if (Buffer.isBuffer(value)) return value;
  if (value === null) return Buffer.from([0xf6]);
  if (typeof value === "number") return value < 0 ? header(1, -1 - value) : header(0, value);
  if (Array.isArray(value)) return Buffer.concat([header(4, value.length), ...value.map(encoded)]);
  const body = Buffer.from(value, "utf8");
  return Buffer.concat([header(3, body.length), body]);
}

// map is the bytes of a map with these pairs.
export function map(pairs) {
  const parts = [header(5, pairs.length)];
  for (const [key, value] of pairs) parts.push(encoded(key), encoded(value));
  return Buffer.concat(parts);
}

// none is SurrealDB's NONE.
export const none = Buffer.from([0xc6, 0xf6]);

// uuid is a UUID of 16 bytes as CBOR.
export function uuid(bytes) {
  return Buffer.concat([Buffer.from([0xd8, 37, 0x50]), bytes]);
}

// uuidOf is the hexadecimal digits of a UUID, or undefined if value is none.
export function uuidOf(value) {
  if (value?.length === 19 && value[0] === 0xd8 && value[1] === 37 && value[2] === 0x50) return value.toString("hex", 3);
  return undefined;
}
