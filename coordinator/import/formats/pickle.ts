// A reader of Python pickles (protocols 0x02 to 0x04 of pickletools) that knows dictionaries, lists, tuples, text,
// numbers and numpy's arrays of bytes, and nothing else: no name in a pickle calls anything.

import { BitswarmError } from "../../../shared/base/errors.ts";
import { printable } from "../../base/printable.ts";

/** Largest pickle: CIFAR-100's train has 155 MB. */
export const MAX_PICKLE_BYTES = 2 ** 28;
/** Most things that are made: one an image for labels and names. */
export const MAX_PICKLE_THINGS = 2 ** 21;

/** An array u8, row after row. */
export interface PickledArray {
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export type Pickled = null | boolean | number | string | Pickled[] | Map<string, Pickled> | PickledArray;

/** What a pickle may name, whatever the version of numpy. */
const known: Readonly<Record<string, "array" | "ndarray" | "dtype">> = {
  "numpy.core.multiarray _reconstruct": "array",
  "numpy._core.multiarray _reconstruct": "array",
  "numpy ndarray": "ndarray",
  "numpy dtype": "dtype",
};

/** Things on the stack beside values. */
interface Named {
  readonly named: "array" | "ndarray" | "dtype";
}
/** An array or data type that was made, and gets its state later. */
interface Made {
  readonly made: "array" | "dtype";
  readonly type?: string;
  array?: PickledArray;
}
interface Tuple {
  readonly tuple: readonly Thing[];
}
type Thing = null | boolean | number | string | Uint8Array | Thing[] | Map<string, Thing> | Named | Made | Tuple;
const mark = Symbol("mark");

const isMade = (thing: unknown): thing is Made => typeof thing === "object" && thing !== null && "made" in thing;
const isNamed = (thing: unknown): thing is Named => typeof thing === "object" && thing !== null && "named" in thing;
const isTuple = (thing: unknown): thing is Tuple => typeof thing === "object" && thing !== null && "tuple" in thing;

/** Python 2's text is bytes; names of CIFAR are ASCII. */
const latin1 = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");

class Machine {
  readonly #path: string;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #stack: (Thing | typeof mark)[] = [];
  readonly #memo = new Map<number, Thing>();
  #at = 0;
  #things = 0;

  constructor(path: string, bytes: Uint8Array) {
    this.#path = path;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  #fail(what: string): BitswarmError {
    return new BitswarmError(
      "DATA_INVALID",
      `${this.#path}: ${what} at byte ${this.#at} of the pickle; only dictionaries, lists, text, numbers and arrays u8 are read: get the file again, or the binary version`,
    );
  }

  #take(count: number): Uint8Array {
    if (count < 0 || count > this.#bytes.length - this.#at) throw this.#fail(`${count} bytes are said to follow`);
    const some = this.#bytes.subarray(this.#at, this.#at + count);
    this.#at += count;
    return some;
  }

  #uint(bytes: 1 | 2 | 4 | 8): number {
    const some = this.#take(bytes);
    const at = some.byteOffset - this.#bytes.byteOffset;
    if (bytes === 1) return some[0];
    if (bytes === 2) return this.#view.getUint16(at, true);
    return bytes === 4 ? this.#view.getUint32(at, true) : Number(this.#view.getBigUint64(at, true));
  }

  #line(): string {
    const end = this.#bytes.indexOf(10, this.#at);
    if (end < 0 || end - this.#at > 200) throw this.#fail("a name without an end");
    const text = latin1(this.#take(end - this.#at));
    this.#at++;
    return text;
  }

  #push(thing: Thing): void {
    if (++this.#things > MAX_PICKLE_THINGS) throw this.#fail(`more than ${MAX_PICKLE_THINGS} things`);
    this.#stack.push(thing);
  }

  #pop(): Thing {
    const thing = this.#stack.pop();
    if (thing === undefined || thing === mark) throw this.#fail("something is taken where nothing is");
    return thing;
  }

  #top(): Thing {
    const thing = this.#pop();
    this.#stack.push(thing);
    return thing;
  }

  #sinceMark(): Thing[] {
    const at = this.#stack.lastIndexOf(mark);
    if (at < 0) throw this.#fail("a mark is missing");
    const some = this.#stack.splice(at);
    return some.slice(1) as Thing[];
  }

  #put(number: number): void {
    if (this.#memo.size >= MAX_PICKLE_THINGS) throw this.#fail("too much is to be remembered");
    this.#memo.set(number, this.#top());
  }

  #get(number: number): void {
    const thing = this.#memo.get(number);
    if (thing === undefined) throw this.#fail("something is used that was not remembered");
    this.#push(thing);
  }

  #global(module: string, name: string): void {
    const named = known[`${module} ${name}`];
    if (named === undefined) throw this.#fail(`${printable(`${module}.${name}`)} is named, which is not known`);
    this.#push({ named });
  }

  #reduce(): void {
    const args = this.#pop();
    const callee = this.#pop();
    if (!isNamed(callee) || !isTuple(args)) throw this.#fail("a call of what cannot be called");
    const [first, second, third] = args.tuple;
    if (callee.named === "array" && isNamed(first) && first.named === "ndarray") this.#push({ made: "array" });
    else if (callee.named === "dtype" && typeof first === "string" && !second && (third === 1 || third === true)) {
      this.#push({ made: "dtype", type: first });
    } else throw this.#fail("a call of what cannot be called");
  }

  #build(): void {
    const state = this.#pop();
    const target = this.#top();
    if (!isMade(target) || !isTuple(state)) throw this.#fail("a state of what has none");
    if (target.made === "dtype") return;
    const [, shape, type, fortran, raw] = state.tuple;
    if (!isTuple(shape) || !isMade(type) || type.type !== "u1" || fortran !== false) {
      throw this.#fail("an array that is not u8 in the order of rows");
    }
    const sizes = shape.tuple.map((size) => (typeof size === "number" && size >= 0 ? size : -1));
    const bytes = typeof raw === "string" ? Uint8Array.from(Buffer.from(raw, "latin1")) : raw;
    const wanted = sizes.reduce((product, size) => product * size, 1);
    if (!(bytes instanceof Uint8Array) || sizes.includes(-1) || bytes.length !== wanted) {
      throw this.#fail("an array whose bytes are not as many as its shape says");
    }
    target.array = { shape: sizes, bytes };
  }

  #pairs(target: Thing, pairs: readonly Thing[]): void {
    if (!(target instanceof Map) || pairs.length % 2 === 1) throw this.#fail("pairs of what is no dictionary");
    for (let i = 0; i < pairs.length; i += 2) {
      const key = pairs[i] instanceof Uint8Array ? latin1(pairs[i] as Uint8Array) : pairs[i];
      if (typeof key !== "string") throw this.#fail("a key that is no text");
      target.set(key, pairs[i + 1]);
    }
  }

  #append(target: Thing, items: readonly Thing[]): void {
    if (!Array.isArray(target)) throw this.#fail("items of what is no list");
    for (const item of items) target.push(item);
  }

  /** Text of Python 2, or bytes: long ones stay bytes. */
  #binary(bytes: number): void {
    const some = this.#take(bytes);
    this.#push(bytes > 4096 ? some : latin1(some));
  }

  #long(): number {
    const bytes = this.#take(this.#uint(1));
    if (bytes.length > 6) throw this.#fail("a number of more than 6 bytes");
    let value = 0;
    for (let i = bytes.length - 1; i >= 0; i--) value = 256 * value + bytes[i];
    return bytes.length > 0 && bytes[bytes.length - 1] > 127 ? value - 256 ** bytes.length : value;
  }

  readonly #operations: Readonly<Record<string, () => void>> = {
    "}": () => this.#push(new Map()),
    "]": () => this.#push([]),
    ")": () => this.#push({ tuple: [] }),
    "(": () => this.#stack.push(mark),
    N: () => this.#push(null),
    "\x88": () => this.#push(true),
    "\x89": () => this.#push(false),
    K: () => this.#push(this.#uint(1)),
    M: () => this.#push(this.#uint(2)),
    J: () => this.#push(this.#uint(4) | 0),
    "\x8a": () => this.#push(this.#long()),
    U: () => this.#binary(this.#uint(1)),
    T: () => this.#binary(this.#uint(4)),
    C: () => this.#binary(this.#uint(1)),
    B: () => this.#binary(this.#uint(4)),
    X: () => this.#push(Buffer.from(this.#take(this.#uint(4))).toString("utf8")),
    "\x8c": () => this.#push(Buffer.from(this.#take(this.#uint(1))).toString("utf8")),
    q: () => this.#put(this.#uint(1)),
    r: () => this.#put(this.#uint(4)),
    "\x94": () => this.#put(this.#memo.size),
    h: () => this.#get(this.#uint(1)),
    j: () => this.#get(this.#uint(4)),
    "\x95": () => void this.#uint(8),
    c: () => this.#global(this.#line(), this.#line()),
    "\x93": () => {
      const name = this.#pop();
      const module = this.#pop();
      this.#global(String(module), String(name));
    },
    R: () => this.#reduce(),
    b: () => this.#build(),
    a: () => {
      const item = this.#pop();
      this.#append(this.#top(), [item]);
    },
    e: () => {
      const items = this.#sinceMark();
      this.#append(this.#top(), items);
    },
    s: () => {
      const value = this.#pop();
      const key = this.#pop();
      this.#pairs(this.#top(), [key, value]);
    },
    u: () => {
      const pairs = this.#sinceMark();
      this.#pairs(this.#top(), pairs);
    },
    t: () => this.#push({ tuple: this.#sinceMark() }),
    "\x85": () => this.#push({ tuple: [this.#pop()] }),
    "\x86": () => this.#push({ tuple: [this.#pop(), this.#pop()].reverse() }),
    "\x87": () => this.#push({ tuple: [this.#pop(), this.#pop(), this.#pop()].reverse() }),
  };

  run(): Thing {
    if (this.#bytes.length > MAX_PICKLE_BYTES) {
      throw this.#fail(`${this.#bytes.length} bytes, of which at most ${MAX_PICKLE_BYTES} are read,`);
    }
    if (this.#uint(1) !== 0x80 || this.#uint(1) > 5) throw this.#fail("this is no pickle of protocol 2 to 5");
    for (;;) {
      const code = String.fromCharCode(this.#uint(1));
      if (code === ".") return this.#pop();
      const operation = this.#operations[code];
      if (operation === undefined) throw this.#fail(`operation ${JSON.stringify(code)} is not known`);
      operation();
    }
  }
}

/** Deepest lists in lists. */
const DEEPEST = 8;

/** Values in place of things on a stack; a thing that is remembered and used a thousand times counts a thousand. */
class Plain {
  #left = MAX_PICKLE_THINGS;
  readonly #fail: () => BitswarmError;

  constructor(fail: () => BitswarmError) {
    this.#fail = fail;
  }

  of(thing: Thing, depth = 0): Pickled {
    if (depth > DEEPEST || --this.#left < 0) throw this.#fail();
    if (thing instanceof Uint8Array) return latin1(thing);
    if (Array.isArray(thing)) return thing.map((item) => this.of(item, depth + 1));
    if (thing instanceof Map) return new Map([...thing].map(([key, value]) => [key, this.of(value, depth + 1)]));
    if (isMade(thing) && thing.array !== undefined) return thing.array;
    if (isTuple(thing)) return thing.tuple.map((item) => this.of(item, depth + 1));
    if (typeof thing === "object" && thing !== null) throw this.#fail();
    return thing;
  }
}

/** The dictionary of a pickle. @throws DATA_INVALID naming file, byte and what is not read */
export function readPickle(path: string, bytes: Uint8Array): Map<string, Pickled> {
  const fail = () =>
    new BitswarmError("DATA_INVALID", `${path}: the pickle is no dictionary of plain values; get the file again`);
  const value = new Plain(fail).of(new Machine(path, bytes).run());
  if (!(value instanceof Map)) throw fail();
  return value;
}
