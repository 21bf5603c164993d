// Assembles WebAssembly from its text format, as much of it as our kernels are written in: functions with named
// parameters and locals, folded instructions, block, loop, br, br_if and if. No build step, no dependency.

import { instruction, unsigned } from "./opcodes.ts";

type Expression = string | readonly Expression[];

const valueTypes: Readonly<Record<string, number>> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };

function parse(text: string): Expression[] {
  const tokens = text.replace(/;;[^\n]*/g, "").match(/[()]|[^\s()]+/g) ?? [];
  const stack: Expression[][] = [[]];
  for (const token of tokens) {
    const top = stack[stack.length - 1];
    if (token === "(") stack.push([]);
    else if (token !== ")") top.push(token);
    else {
      stack.pop();
      const parent = stack[stack.length - 1];
      if (!parent) throw new RangeError("WebAssembly: a parenthesis too many");
      parent.push(top);
    }
  }
  if (stack.length !== 1) throw new RangeError("WebAssembly: a parenthesis is not closed");
  return stack[0];
}

function signed(value: number): number[] {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (;;) {
    const low = Number(rest & 127n);
    rest >>= 7n;
    const done = (rest === 0n && low < 64) || (rest === -1n && low >= 64);
    bytes.push(done ? low : low | 128);
    if (done) return bytes;
  }
}

const sized = (bytes: readonly number[]) => [...unsigned(bytes.length), ...bytes];
const listed = (items: readonly (readonly number[])[]) => [...unsigned(items.length), ...items.flat()];
const section = (id: number, bytes: readonly number[]) => [id, ...sized(bytes)];

function word(expression: Expression | undefined): string {
  if (typeof expression === "string") return expression;
  throw new RangeError(`WebAssembly: a word is wanted, got ${JSON.stringify(expression)}`);
}

function valueType(name: string): number {
  const type = valueTypes[name];
  if (type === undefined) throw new RangeError(`WebAssembly: no type named ${name}`);
  return type;
}

/** What a function's body may name. */
interface Scope {
  readonly locals: ReadonlyMap<string, number>;
  /** Of the blocks around, the innermost last. */
  readonly labels: readonly string[];
}

function localIndex({ locals }: Scope, name: string): number[] {
  const index = locals.get(name);
  if (index === undefined) throw new RangeError(`WebAssembly: no local named ${name}`);
  return unsigned(index);
}

function labelDepth({ labels }: Scope, name: string): number[] {
  const at = labels.lastIndexOf(name);
  if (at < 0) throw new RangeError(`WebAssembly: no label named ${name}`);
  return unsigned(labels.length - 1 - at);
}

const noResult = 0x40;
const end = 0x0b;

function encode(expression: Expression, scope: Scope): number[] {
  if (typeof expression === "string") throw new RangeError(`WebAssembly: ${expression} stands alone`);
  const name = word(expression[0]);
  const rest = expression.slice(1);
  const operands = (from: number) => rest.slice(from).flatMap((operand) => encode(operand, scope));
  const within = (label: string, body: readonly Expression[]) =>
    body.flatMap((inner) => encode(inner, { ...scope, labels: [...scope.labels, label] }));
  switch (name) {
    case "local.get":
      return [0x20, ...localIndex(scope, word(rest[0]))];
    case "local.set":
      return [...operands(1), 0x21, ...localIndex(scope, word(rest[0]))];
    case "local.tee":
      return [...operands(1), 0x22, ...localIndex(scope, word(rest[0]))];
    case "i32.const":
      return [0x41, ...signed(Number(word(rest[0])) | 0)];
    case "f32.const":
      return [0x43, ...new Uint8Array(Float32Array.of(Number(word(rest[0]))).buffer)];
    case "f64.const":
      return [0x44, ...new Uint8Array(Float64Array.of(Number(word(rest[0]))).buffer)];
    case "block":
    case "loop":
      return [name === "block" ? 0x02 : 0x03, noResult, ...within(word(rest[0]), rest.slice(1)), end];
    case "br":
      return [0x0c, ...labelDepth(scope, word(rest[0]))];
    case "br_if":
      return [...operands(1), 0x0d, ...labelDepth(scope, word(rest[0]))];
    case "if": {
      const [condition, then] = rest;
      if (typeof then === "string" || then?.[0] !== "then")
        throw new RangeError("WebAssembly: (if condition (then …))");
      return [...encode(condition, scope), 0x04, noResult, ...within("", then.slice(1)), end];
    }
    default:
      return encodePlain(name, rest, scope);
  }
}

function encodePlain(name: string, rest: readonly Expression[], scope: Scope): number[] {
  const { code, lanes = 0, alignment } = instruction(name);
  const words = rest.filter((operand) => typeof operand === "string");
  const operands = rest.filter((operand) => typeof operand !== "string").flatMap((operand) => encode(operand, scope));
  if (lanes > 0) {
    if (words.length !== lanes) throw new RangeError(`WebAssembly: ${name} takes ${lanes} lanes, got ${words.length}`);
    return [...operands, ...code, ...words.map(Number)];
  }
  if (alignment === undefined) return [...operands, ...code];
  const offset = Number(/^offset=(\d+)$/.exec(words[0] ?? "offset=0")?.[1]);
  // Payloads lie anywhere, so no alignment is promised; it is only a hint.
  return [...operands, ...code, 0, ...unsigned(offset)];
}

interface AssembledFunction {
  readonly name: string;
  readonly type: readonly number[];
  readonly code: readonly number[];
}

function assembleFunction([keyword, name, ...rest]: readonly Expression[]): AssembledFunction {
  if (keyword !== "func") throw new RangeError(`WebAssembly: a module is functions, got ${JSON.stringify(keyword)}`);
  const declared = (kind: string) =>
    rest.filter((part): part is readonly Expression[] => typeof part !== "string" && part[0] === kind);
  const names = [...declared("param"), ...declared("local")].map((part) => [word(part[1]), word(part[2])] as const);
  const parameters = declared("param").map((part) => valueType(word(part[2])));
  const results = declared("result").map((part) => valueType(word(part[1])));
  const locals = declared("local").map((part) => [1, valueType(word(part[2]))]);
  const scope: Scope = { locals: new Map(names.map(([local], index) => [local, index])), labels: [] };
  const headers = ["param", "result", "local"];
  const body = rest.filter((part) => typeof part === "string" || !headers.includes(word(part[0])));
  const code = [...listed(locals), ...body.flatMap((part) => encode(part, scope)), end];
  const type = [0x60, ...sized(parameters), ...sized(results)];
  return { name: word(name).replace("$", ""), type, code: sized(code) };
}

/**
 * A module of these functions, all of them exported, over one memory that it imports as `env.memory`.
 * @param maximumPages of a memory that threads share; any memory that they do not share where it is undefined
 * @param text `(func $name (param $p i32) … (result f64) (local $l v128) … instructions)`, any number of them
 * @throws RangeError for what is not in the subset
 */
export function assemble(text: string, maximumPages?: number): Uint8Array<ArrayBuffer> {
  const functions = parse(text).map((expression) => {
    if (typeof expression === "string") throw new RangeError(`WebAssembly: ${expression} stands alone`);
    return assembleFunction(expression);
  });
  const name = (text: string) => sized(Array.from(text, (letter) => letter.charCodeAt(0)));
  const noMaximum = 0x00;
  const memoryShared = 0x03;
  const limits =
    maximumPages === undefined
      ? [noMaximum, ...unsigned(1)]
      : [memoryShared, ...unsigned(1), ...unsigned(maximumPages)];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, listed(functions.map(({ type }) => type))),
    ...section(2, listed([[...name("env"), ...name("memory"), 2, ...limits]])),
    ...section(3, listed(functions.map((_, index) => unsigned(index)))),
    ...section(7, listed(functions.map((f, index) => [...name(f.name), 0, ...unsigned(index)]))),
    ...section(10, listed(functions.map(({ code }) => code))),
  ]);
}
