// Into how many pieces a worker's share of a round is cut, so that workers end together and little is lost with one that goes:
// as many as are worth their contributions. Each piece is a gradient of the whole network, read back, sent and summed, so that
// a share of a fraction of a second, or the large gradients of a slow uplink, had better stay in one piece.

/** Pieces of a share where nothing speaks against them. */
export const MOST_PIECES = 4;
/** A piece that is computed in less costs more in messages, readback and kernels' ends than its share's even end is worth. */
export const LEAST_PIECE_SECONDS = 2;
/** What a volunteer's uplink is taken to carry: 8 Mbit/s. */
export const UPLINK_BYTES_PER_SECOND = 1_000_000;
/** Computing a piece takes at least so many times as long as sending what comes of it, which happens meanwhile. */
export const UPLOADS_A_PIECE = 2;

export interface RoundWork {
  /** Samples of the round. */
  readonly samples: number;
  /** Of all who work on such rounds, together; undefined where nobody was measured. */
  readonly samplesPerSecond: number | undefined;
  /** Of one contribution. */
  readonly contributionBytes: number;
}

/** What `lease.pieces: auto` comes to. Where no speed is known, sizes double from lease to lease anyway, and the most is no loss. */
export function piecesOf({ samples, samplesPerSecond, contributionBytes }: RoundWork): number {
  if (samplesPerSecond === undefined) return MOST_PIECES;
  // Shares follow speed: each takes as long as the round.
  const shareSeconds = samples / samplesPerSecond;
  const uploadSeconds = contributionBytes / UPLINK_BYTES_PER_SECOND;
  const pieceSeconds = Math.max(LEAST_PIECE_SECONDS, UPLOADS_A_PIECE * uploadSeconds);
  return Math.max(1, Math.min(MOST_PIECES, Math.floor(shareSeconds / pieceSeconds)));
}
