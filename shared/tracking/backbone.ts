// What a tracker needs of its network, wherever that is computed: features of crops, and what an exemplar answers to
// them. A trainer's device and an exported file both fit it.

/** Of crops, where the network computes: nothing of them need come back. */
export interface Features {
  /** Crops. */
  readonly n: number;
  /** Of a feature map, in cells. */
  readonly side: number;
  /** Gives their memory back. */
  release(): void;
}

export interface Responses {
  readonly n: number;
  readonly side: number;
  /** [n][side][side] */
  readonly values: Float32Array;
}

export interface Backbone {
  /** @param crops pixels u8 [n][side][side][3], RGB */
  embed(crops: Uint8Array, n: number, side: number): Promise<Features>;
  /**
   * What one exemplar answers to each of the searches: their correlation, in the network's own scale.
   * @param exemplar of one crop
   */
  respond(exemplar: Features, searches: Features): Promise<Responses>;
  /** Gives memory and device back. */
  dispose(): void;
}
