// Rules of the assembler: its modules are what the text says, by running them, and what is not in the subset is
// refused.
import { expect, test } from "vitest";
import { assemble } from "../../../shared/assembler/assemble.ts";

type Exports = Readonly<Record<string, (...values: number[]) => number>>;

function run(text: string): { readonly exports: Exports; readonly bytes: Uint8Array } {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(assemble(text, 2)), { env: { memory } });
  return { exports: instance.exports as unknown as Exports, bytes: new Uint8Array(memory.buffer) };
}

test("loops, blocks, branches by name and conditions", () => {
  const { exports } = run(`
(func $sumBelow (param $n i32) (result i32) (local $i i32) (local $sum i32) ;; all but multiples of four
  (block $done
    (loop $next
      (br_if $done (i32.ge_s (local.get $i) (local.get $n)))
      (if (i32.and (local.get $i) (i32.const 3)) (then
        (local.set $sum (i32.add (local.get $sum) (local.get $i)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
  (local.get $sum))
(func $second (param $a f64) (result f64) (f64.mul (local.get $a) (f64.const -2.5)))`);
  expect(exports.sumBelow!(10)).toBe(1 + 2 + 3 + 5 + 6 + 7 + 9);
  expect(exports.second!(3)).toBe(-7.5);
});

test("constants of any size, signed and unsigned", () => {
  for (const value of [0, 63, 64, -64, -65, 127, 128, 8191, -8193, 2 ** 31 - 1, -(2 ** 31), 0xffffffff]) {
    expect(run(`(func $f (result i32) (i32.const ${value}))`).exports.f!()).toBe(value | 0);
  }
  expect(run("(func $f (result i32) (i32.const 0x7fff))").exports.f!()).toBe(0x7fff);
});

test("vectors, lanes and offsets in memory", () => {
  const { exports, bytes } = run(`
(func $add (param $at i32) (result i32) (local $x v128)
  (local.set $x (i32x4.add (v128.load (local.get $at)) (v128.load offset=16 (local.get $at))))
  (v128.store offset=300 (local.get $at) (local.get $x))
  (i32x4.extract_lane 2 (local.get $x)))`);
  bytes.set([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 10, 0, 0, 0, 20, 0, 0, 0, 30], 5);
  expect(exports.add!(5)).toBe(33);
  expect([...bytes.subarray(305, 321)]).toEqual([11, 0, 0, 0, 22, 0, 0, 0, 33, 0, 0, 0, 4, 0, 0, 0]);
});

test("a memory that threads do not share, and lanes of two vectors shuffled", () => {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const text = `
(func $interleave (param $at i32)
  (v128.store (local.get $at) (i8x16.shuffle 0 16 1 17 2 18 3 19 4 20 5 21 6 22 7 23
    (v128.load (local.get $at)) (v128.load offset=16 (local.get $at)))))`;
  const module = new WebAssembly.Module(assemble(text));
  const exports = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Exports;
  const bytes = new Uint8Array(memory.buffer);
  bytes.set(Array.from({ length: 32 }, (_, i) => i));
  exports.interleave!(0);
  expect([...bytes.subarray(0, 16)]).toEqual([0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23]);
});

test("what is not known is refused by its name", () => {
  const refused = [
    ["(func $f (i32.rotl (i32.const 1) (i32.const 1)))", /i32\.rotl/],
    ["(func $f (local.set $x (i32.const 1)))", /\$x/],
    ["(func $f (br $away))", /\$away/],
    ["(func $f (param $p i128))", /i128/],
    ["(func $f (block $b)", /not closed/],
    ["(func $f))", /too many/],
    ["(func $f (param $v v128) (i32x4.extract_lane (local.get $v)))", /takes 1 lanes, got 0/],
    ["(table 1)", /table/],
    ["(func $f nop)", /nop/],
  ] as const;
  for (const [text, message] of refused) expect(() => assemble(text, 1), text).toThrow(message);
});
