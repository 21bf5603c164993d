// What a kernel may use of an adapter, and what is guaranteed everywhere: the bounds of all that a text asks for.

/** What of an adapter decides which kernels it can run and which it is likely to like. */
export interface AdapterTraits {
  /** A CPU stands in for the GPU. */
  readonly software: boolean;
  /** Bytes of workgroup memory; 16,384 is guaranteed. */
  readonly workgroupMemory: number;
  /** Invocations of a workgroup; 256 is guaranteed. */
  readonly invocations: number;
  readonly f16: boolean;
  readonly subgroups: boolean;
}

/** What every WebGPU device has (WebGPU §3.6.2). */
export const GUARANTEED_TRAITS: AdapterTraits = {
  software: true,
  workgroupMemory: 16_384,
  invocations: 256,
  f16: false,
  subgroups: false,
};
