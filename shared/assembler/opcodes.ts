// The instructions of WebAssembly that our kernels use, by their names in the text format (WebAssembly 2.0,
// section 5.4).

/**
 * What stands behind an opcode in the text: none, indices of lanes, or a memory argument with this natural alignment
 * (log2).
 */
interface Instruction {
  readonly code: readonly number[];
  readonly lanes?: number;
  readonly alignment?: number;
}

/** Opcodes of one byte. */
const scalar: Readonly<Record<string, number>> = {
  "i32.eqz": 0x45,
  "i32.ne": 0x47,
  "i32.lt_s": 0x48,
  "i32.lt_u": 0x49,
  "i32.gt_s": 0x4a,
  "i32.gt_u": 0x4b,
  "i32.le_u": 0x4d,
  "i32.ge_s": 0x4e,
  "i32.ctz": 0x68,
  "i32.add": 0x6a,
  "i32.sub": 0x6b,
  "i32.mul": 0x6c,
  "i32.and": 0x71,
  "i32.or": 0x72,
  "i32.xor": 0x73,
  "i32.shl": 0x74,
  "i32.shr_u": 0x76,
  "f32.ne": 0x5c,
  "f32.add": 0x92,
  "f32.mul": 0x94,
  "f64.add": 0xa0,
  "f64.sub": 0xa1,
  "f64.mul": 0xa2,
  "f64.convert_i32_s": 0xb7,
  "f64.promote_f32": 0xbb,
  "f32.reinterpret_i32": 0xbe,
};

/** Opcodes behind the prefix of vector instructions. */
const vector: Readonly<Record<string, number>> = {
  "i32x4.splat": 0x11,
  "f32x4.splat": 0x13,
  "f64x2.splat": 0x14,
  "f32x4.lt": 0x43,
  "f32x4.gt": 0x44,
  "i32x4.lt_s": 0x39,
  "i16x8.eq": 0x2d,
  "i32x4.eq": 0x37,
  "v128.and": 0x4e,
  "v128.or": 0x50,
  "v128.xor": 0x51,
  "v128.bitselect": 0x52,
  "v128.any_true": 0x53,
  "f64x2.promote_low_f32x4": 0x5f,
  "i8x16.abs": 0x60,
  "i8x16.popcnt": 0x62,
  "i8x16.bitmask": 0x64,
  "i8x16.narrow_i16x8_s": 0x65,
  "i8x16.narrow_i16x8_u": 0x66,
  "f32x4.nearest": 0x6a,
  "i8x16.add": 0x6e,
  "i8x16.max_u": 0x79,
  "i16x8.extadd_pairwise_i8x16_u": 0x7d,
  "i32x4.extadd_pairwise_i16x8_u": 0x7f,
  "i16x8.narrow_i32x4_s": 0x85,
  "i16x8.extend_low_i8x16_s": 0x87,
  "i16x8.extend_high_i8x16_s": 0x88,
  "i16x8.extend_low_i8x16_u": 0x89,
  "i16x8.extend_high_i8x16_u": 0x8a,
  "i16x8.shr_u": 0x8d,
  "i16x8.add": 0x8e,
  "i16x8.sub": 0x91,
  "i16x8.mul": 0x95,
  "i32x4.abs": 0xa0,
  "i32x4.extend_low_i16x8_s": 0xa7,
  "i32x4.extend_high_i16x8_s": 0xa8,
  "i32x4.extend_low_i16x8_u": 0xa9,
  "i32x4.extend_high_i16x8_u": 0xaa,
  "i32x4.shl": 0xab,
  "i32x4.shr_s": 0xac,
  "i32x4.shr_u": 0xad,
  "i32x4.add": 0xae,
  "i32x4.sub": 0xb1,
  "i32x4.mul": 0xb5,
  "i32x4.min_s": 0xb6,
  "i32x4.max_s": 0xb8,
  "i32x4.dot_i16x8_s": 0xba,
  "f32x4.abs": 0xe0,
  "f32x4.neg": 0xe1,
  "f32x4.add": 0xe4,
  "f32x4.sub": 0xe5,
  "f32x4.mul": 0xe6,
  "f32x4.pmin": 0xea,
  "f32x4.pmax": 0xeb,
  "f64x2.add": 0xf0,
  "f64x2.sub": 0xf1,
  "f64x2.mul": 0xf2,
  "i32x4.trunc_sat_f32x4_s": 0xf8,
  "f32x4.convert_i32x4_s": 0xfa,
  "f64x2.convert_low_i32x4_s": 0xfe,
};

const lanes: Readonly<Record<string, number>> = {
  "i32x4.extract_lane": 0x1b,
  "i64x2.extract_lane": 0x1d,
  "f32x4.extract_lane": 0x1f,
  "f64x2.extract_lane": 0x21,
};

/** Opcode and natural alignment. */
const memory: Readonly<Record<string, readonly [code: readonly number[], alignment: number]>> = {
  "i32.load": [[0x28], 2],
  "i32.load8_s": [[0x2c], 0],
  "i32.load8_u": [[0x2d], 0],
  "i32.store": [[0x36], 2],
  "i32.store8": [[0x3a], 0],
  "f32.load": [[0x2a], 2],
  "i64.store": [[0x37], 3],
  "f32.store": [[0x38], 2],
  "f64.load": [[0x2b], 3],
  "f64.store": [[0x39], 3],
  "v128.load": [[0xfd, 0x00], 4],
  "v128.load32_splat": [[0xfd, 0x09], 2],
  "v128.load64_zero": [[0xfd, 0x5d], 3],
  "v128.store": [[0xfd, 0x0b], 4],
};

/** LEB128 of an unsigned integer. */
export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low | 128 : low);
  } while (rest > 0);
  return bytes;
}

export function instruction(name: string): Instruction {
  const plain = scalar[name];
  if (plain !== undefined) return { code: [plain] };
  const wide = vector[name];
  if (wide !== undefined) return { code: [0xfd, ...unsigned(wide)] };
  const lane = lanes[name];
  if (lane !== undefined) return { code: [0xfd, lane], lanes: 1 };
  if (name === "i8x16.shuffle") return { code: [0xfd, 0x0d], lanes: 16 };
  const access = memory[name];
  if (access !== undefined) return { code: access[0], alignment: access[1] };
  throw new RangeError(`WebAssembly: no instruction named ${name} in opcodes.ts`);
}
