// The host of libjpeg-turbo's decoder as @cornerstonejs/codec-libjpeg-turbo-8bit 1.2.8 compiled it: what Emscripten's
// own glue would answer, as far as decoding asks for it. That glue reads files with `require` in Node, which modules
// have none of, and prints what it is told; this one is pure, and the same in every runtime.

import { BitswarmError } from "../base/errors.ts";
import { type FunctionTable, jpegKernels } from "./jpeg-kernels.ts";
import type { Allocator } from "./resize-in-memory.ts";
import { type HostFunction, type Memory, wasm } from "./webassembly.ts";

/** Names that the compiler shortened, of this version of the package. */
interface Exports {
  /** Memory. */
  readonly N: Memory;
  /** Constructors of global objects. */
  readonly O: () => void;
  /** Table of functions. */
  readonly Q: FunctionTable;
  readonly R: (address: number) => void;
  /** malloc, and R is free. */
  readonly S: (bytes: number) => number;
  /** setThrew. */
  readonly T: (threw: number, value: number) => void;
  /** Sets the stack's pointer. */
  readonly U: (pointer: number) => void;
  /** The stack's pointer. */
  readonly W: () => number;
}

/** The region of memory that a buffer of the decoder has. */
interface Region {
  readonly at: number;
  readonly length: number;
}

/** The C++ code gave up: with a C++ exception, abort() or exit(). */
class CodecFailure extends Error {}

const PAGE = 65_536;
const MAX_MEMORY_BYTES = 2 ** 31;
/** WASI's "no such file" and "cannot seek": the decoder has no files. */
const BAD_FILE = 8;
const CANNOT_SEEK = 70;

/** What C's longjmp throws: the functions that call others on behalf of setjmp catch it, and nothing else. */
const LONG_JUMP = Symbol("longjmp");

/** The class JPEGDecoder of the module, in one instance of it. */
export interface JpegCodec {
  /**
   * @param width that its header has
   * @param take makes the answer of the decoded bytes, a view of memory at this address that is gone when it returns
   * @throws what `isCodecFailure` knows, with the decoder's reason
   */
  decode<T>(bytes: Uint8Array, width: number, take: (decoded: Uint8Array, address: number) => T): T;
  readonly memoryBytes: number;
  /** Whether our kernels stand in for functions of the decoder. */
  readonly vectors: boolean;
  /** Room in the same memory. */
  readonly room: Allocator;
}

const wrongModule = (why: string) =>
  new BitswarmError(
    "UNEXPECTED",
    `the JPEG decoder's module is not libjpegturbowasm_decode.wasm of @cornerstonejs/codec-libjpeg-turbo-8bit 1.2.8: ${why}; install the version that package-lock.json names`,
  );

/** Whether the file is at fault, and the instance still good. */
export function isCodecFailure(error: unknown): error is Error {
  return error instanceof CodecFailure;
}

/** Whether the file led the code to what it may not do; nobody knows what the instance is worth then. */
export function isCodecTrap(error: unknown): error is Error {
  return error instanceof wasm.RuntimeError;
}

export async function compileJpegCodec(module: object): Promise<object> {
  return ArrayBuffer.isView(module) || module instanceof ArrayBuffer ? wasm.compile(module) : module;
}

export interface CodecOptions {
  /** The decoder's own functions alone: the same bits, more slowly. */
  readonly plain?: boolean;
}

/** @param module compiled */
export function startJpegCodec(module: object, { plain = false }: CodecOptions = {}): JpegCodec {
  let exports!: Exports;
  let memory = new Uint8Array(0);
  let words = new DataView(memory.buffer);
  const refresh = () => {
    memory = new Uint8Array(exports.N.buffer);
    words = new DataView(exports.N.buffer);
  };
  const word = (at: number) => words.getUint32(at, true);
  const text = (at: number) => {
    let letters = "";
    for (let i = at; memory[i] !== 0 && i < memory.length; i++) letters += String.fromCharCode(memory[i]!);
    return letters;
  };

  /** Method → how it is called. */
  const methods = new Map<string, (object: number, ...parameters: number[]) => number>();
  let construct: () => number = () => 0;
  let destroy: (object: number) => void = () => {};
  /** The last view of its memory that the code handed out: a view is read before the next is made. */
  let region: Region = { at: 0, length: 0 };

  const nothing = () => 0;
  /** Calls through the table, so that a longjmp out of the call comes back to the setjmp before it. */
  const invoke = (index: number, ...parameters: number[]) => {
    const stack = exports.W();
    try {
      return exports.Q.get(index)(...parameters);
    } catch (error) {
      if (error !== LONG_JUMP) throw error;
      exports.U(stack);
      exports.T(1, 0);
      return 0;
    }
  };
  /** A view of u8 is its length, then its address. */
  const takeView = (at: number) => {
    region = { length: word(at), at: word(at + 4) };
    return 1;
  };
  const grow = (bytes: number) => {
    const wanted = bytes >>> 0;
    if (wanted > MAX_MEMORY_BYTES) return 0;
    try {
      exports.N.grow(Math.max(0, Math.ceil((wanted - exports.N.buffer.byteLength) / PAGE)));
    } catch {
      return 0;
    }
    refresh();
    return 1;
  };
  const host: Record<string, HostFunction> = {
    // C++ exceptions are not caught in C++; the first word of what is thrown is its text.
    i: (exception) => {
      throw new CodecFailure(text(word(exception!)));
    },
    v: () => {
      throw new CodecFailure("abort()");
    },
    D: (status) => {
      throw new CodecFailure(`exit(${status})`);
    },
    w: () => {
      throw LONG_JUMP;
    },
    m: invoke as HostFunction,
    e: invoke as HostFunction,
    j: invoke as HostFunction,
    a: invoke as HostFunction,
    C: invoke as HostFunction,
    h: invoke as HostFunction,
    d: invoke as HostFunction,
    B: (to, from, length) => memory.copyWithin(to!, from!, from! + length!),
    x: (bytes) => grow(bytes!),
    // The class: (class, pointer, const pointer, base, 6 of inheritance, name, signature, destructor).
    r: (...parameters) => {
      destroy = exports.Q.get(parameters[12]!);
    },
    // Its constructor: (class, count, types, signature, invoker, what makes one).
    q: (_class, _count, _types, _signature, invoker, make) => {
      construct = () => exports.Q.get(invoker!)(make!);
    },
    // A method: (class, name, count, types, signature, invoker, method).
    f: (_class, name, _count, _types, _signature, invoker, method) => {
      methods.set(text(name!), (object, ...rest) => exports.Q.get(invoker!)(method!, object, ...rest));
    },
    // Values of JavaScript: views of memory, and a copy of one, which is made by the caller instead.
    p: (_type, at) => takeView(at!),
    K: (_caller, _handle, _destructors, parameters) => takeView(parameters!),
    L: nothing,
    M: () => 1,
    o: () => 1,
    J: nothing,
    // Types of embind, which only values would need.
    ...Object.fromEntries([..."suHFncbGkEgI"].map((name) => [name, nothing])),
    // No variables, and no files; what is printed is told by the exception, too.
    y: nothing,
    z: (count, bytes) => {
      words.setUint32(count!, 0, true);
      words.setUint32(bytes!, 0, true);
      return 0;
    },
    A: () => BAD_FILE,
    t: () => CANNOT_SEEK,
    l: (_file, vectors, count, written) => {
      let bytes = 0;
      for (let i = 0; i < count!; i++) bytes += word(vectors! + 8 * i + 4);
      words.setUint32(written!, bytes, true);
      return 0;
    },
  };

  const imports = wasm.Module.imports(module);
  const strange = imports.find(({ module: from, name }) => from !== "a" || !(name in host));
  if (strange !== undefined || imports.length !== Object.keys(host).length)
    throw wrongModule(`it asks for ${strange ? `${strange.module}.${strange.name}` : `${imports.length} functions`}`);
  exports = new wasm.Instance(module, { a: host }).exports as Exports;
  refresh();
  exports.O();
  const method = (name: string) => methods.get(name) ?? raise(wrongModule(`it has no method ${name}`));
  const [getEncodedBuffer, decode, getDecodedBuffer] = ["getEncodedBuffer", "decode", "getDecodedBuffer"].map(method);

  const prepare = plain ? undefined : jpegKernels(exports.N, exports.Q);
  /** An object for all pictures: its buffers are as large as the largest needed, and are not cleared for the next. */
  let decoder = 0;
  return {
    vectors: prepare !== undefined,
    get memoryBytes() {
      return exports.N.buffer.byteLength;
    },
    room: { memory: exports.N, allocate: (bytes) => exports.S(bytes), free: (address) => exports.R(address) },
    decode(bytes, width, take) {
      prepare?.(width);
      const stack = exports.W();
      if (decoder === 0) decoder = construct();
      let whole = false;
      try {
        getEncodedBuffer!(decoder, bytes.length);
        memory.set(bytes, region.at);
        decode!(decoder);
        getDecodedBuffer!(decoder);
        whole = true;
      } finally {
        if (!whole) {
          // An exception has left the stack where it was thrown, and the object as it was then.
          exports.U(stack);
          destroy(decoder);
          decoder = 0;
        }
      }
      return take(memory.subarray(region.at, region.at + region.length), region.at);
    },
  };
}

function raise(error: Error): never {
  throw error;
}
