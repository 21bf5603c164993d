// What one dispatch needs, as data: the WGSL text, its bindings by name and the grid. A kernel never holds a device.

/** How a kernel touches a buffer; both are storage buffers of group 0. */
export type Access = "read" | "read_write";

export interface Binding {
  /** The name by which a plan binds a buffer range; the same as the WGSL variable's. */
  readonly name: string;
  readonly access: Access;
}

export interface Kernel {
  /** Shown in traces and errors, e.g. `binaryConvForward 12x12x12->24 k5`. */
  readonly label: string;
  /**
   * The whole text: constants are a header of `const NAME: u32 = …;`, so the text is the pipeline's cache key. Entry
   * point `main`.
   */
  readonly wgsl: string;
  /** In binding order: the i-th is `@group(0) @binding(i)`. At most 8 (the guaranteed limit). */
  readonly bindings: readonly Binding[];
  /** Workgroups in x, y, z, each at most 65,535. */
  readonly grid: readonly [number, number, number];
}

/** A verb that needs more than one dispatch: run in order, with a scratch buffer bound as `scratch`. */
export interface KernelSequence {
  readonly kernels: readonly Kernel[];
  /** Bytes of the scratch buffer; 0 when no kernel binds one. Its content need not survive the sequence. */
  readonly scratchBytes: number;
}
