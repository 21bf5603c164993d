// What a backend is: it computes the program of one network.

export interface Backend {
  readonly kind: "wasm" | "webgpu";
  /** What comes out of one picture, [h][w][c]: its logits. @param values f32 [h][w][c] of the input */
  readonly run: (values: Float32Array) => Float32Array | Promise<Float32Array>;
  readonly dispose: () => void;
}
