// One microbatch as it leaves the decoder: what a device is given, and nothing that depends on which device.

/**
 * The task's inputs [n][h][w][c] each, u8 or f32 as the task says, and its targets, by name. Words of four bytes hold
 * the bytes of a device, little-endian.
 */
export type MicrobatchInput = Readonly<
  Record<string, Uint8Array<ArrayBuffer> | Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>
>;

export interface DecodedMicrobatch {
  readonly input: MicrobatchInput;
  /** Of its samples (checksum.ts). */
  readonly checksum: number;
}
