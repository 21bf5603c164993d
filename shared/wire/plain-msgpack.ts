// Whether bytes are one msgpack value of plain kinds, told without making anything of them: a library makes errors,
// patterns and classes of its own of extensions, which cost a hundred times what they take on the wire.

/** Maps and lists within one another; no message has half as many. */
const MOST_LEVELS = 16;

/**
 * Nil, booleans, numbers, texts, bytes, lists and maps, at most `MOST_LEVELS` of them within one another, none of which
 * promises more than there is, and nothing behind them.
 */
export function isPlainMsgpack(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** Values that are still due, of each level. */
  const due = [1];
  let at = 0;
  while (due.length > 0) {
    const level = due.length - 1;
    if (due[level] === 0) {
      due.pop();
      continue;
    }
    due[level]--;
    if (at >= bytes.length) return false;
    const part = partAt(view, at);
    if (!part) return false;
    at += part.bytes;
    // Each value has a byte at least.
    if (at + part.values > bytes.length) return false;
    if (part.values === 0) continue;
    if (due.length === MOST_LEVELS) return false;
    due.push(part.values);
  }
  return at === bytes.length;
}

/** Bytes of a value up to those within it, and how many there are; nothing for an extension. */
interface Part {
  readonly bytes: number;
  readonly values: number;
}

const leaf = (bytes: number): Part => ({ bytes, values: 0 });

function partAt(view: DataView, at: number): Part | undefined {
  const head = view.getUint8(at);
  if (head <= 0x7f || head >= 0xe0) return leaf(1);
  if (head <= 0x8f) return { bytes: 1, values: 2 * (head & 0x0f) };
  if (head <= 0x9f) return { bytes: 1, values: head & 0x0f };
  if (head <= 0xbf) return leaf(1 + (head & 0x1f));
  /** The length behind the head, of so many bytes; more than there is where it is cut off. */
  const length = (width: 1 | 2 | 4) => {
    if (at + 1 + width > view.byteLength) return view.byteLength;
    if (width === 1) return view.getUint8(at + 1);
    return width === 2 ? view.getUint16(at + 1) : view.getUint32(at + 1);
  };
  switch (head) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
      return leaf(1);
    case 0xcc: // u8
    case 0xd0: // i8
      return leaf(2);
    case 0xcd: // u16
    case 0xd1: // i16
      return leaf(3);
    case 0xca: // f32
    case 0xce: // u32
    case 0xd2: // i32
      return leaf(5);
    case 0xcb: // f64
    case 0xcf: // u64
    case 0xd3: // i64
      return leaf(9);
    case 0xc4: // bytes
    case 0xd9: // text
      return leaf(2 + length(1));
    case 0xc5:
    case 0xda:
      return leaf(3 + length(2));
    case 0xc6:
    case 0xdb:
      return leaf(5 + length(4));
    case 0xdc: // list
      return { bytes: 3, values: length(2) };
    case 0xdd:
      return { bytes: 5, values: length(4) };
    case 0xde: // map
      return { bytes: 3, values: 2 * length(2) };
    case 0xdf:
      return { bytes: 5, values: 2 * length(4) };
    default:
      return undefined;
  }
}
