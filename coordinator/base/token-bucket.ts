// A rate limit as two numbers: tokens come at a steady rate up to a burst, each event takes one or more (the leaky
// bucket of ATM's GCRA, as a meter).

export interface TokenBucket {
  readonly tokens: number;
  /** Milliseconds, as `now`; when `tokens` was right. */
  readonly at: number;
}

export interface Rate {
  readonly perSecond: number;
  /** Tokens at once after a silence; at least 1. */
  readonly burst: number;
}

export type Taken =
  | { readonly kind: "taken"; readonly bucket: TokenBucket }
  | { readonly kind: "empty"; readonly bucket: TokenBucket; readonly retryMs: number };

export function fullBucket(now: number, { burst }: Rate): TokenBucket {
  return { tokens: burst, at: now };
}

function filled({ tokens, at }: TokenBucket, now: number, { perSecond, burst }: Rate): TokenBucket {
  return { tokens: Math.min(burst, tokens + (Math.max(0, now - at) * perSecond) / 1000), at: now };
}

/** Takes a token, or what an event costs, or says in how many milliseconds there will be so many. */
export function takeToken(bucket: TokenBucket, now: number, rate: Rate, cost = 1): Taken {
  const { tokens } = filled(bucket, now, rate);
  if (tokens >= cost) return { kind: "taken", bucket: { tokens: tokens - cost, at: now } };
  return { kind: "empty", bucket: { tokens, at: now }, retryMs: Math.ceil(((cost - tokens) * 1000) / rate.perSecond) };
}

/** Adds tokens beside those that come with time, up to the burst. */
export function addTokens({ tokens, at }: TokenBucket, { burst }: Rate, added: number): TokenBucket {
  return { tokens: Math.min(burst, tokens + added), at };
}

/** Whether nothing would be lost by forgetting the bucket. */
export function isFull(bucket: TokenBucket, now: number, rate: Rate): boolean {
  return filled(bucket, now, rate).tokens >= rate.burst;
}
