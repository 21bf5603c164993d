// How many bits weights and activations may have: each is a plane on the wire and a pass of the convolution.

import { z } from "zod";

/** Bits of a weight or an activation that planes are made of. */
export const MOST_BITS = 8;
/** Stands for values that are not quantised. */
export const FLOAT_BITS = 32;

// Whatever is wrong is told once.
const wrong = { error: `must be 1 to ${MOST_BITS}, or ${FLOAT_BITS} for values as they are`, abort: true };

/** 1 to 8 bits, or 32 for values as they are. */
export const bitsOrFloat = z
  .int()
  .min(1, wrong)
  .max(FLOAT_BITS, wrong)
  .refine((bits) => bits <= MOST_BITS || bits === FLOAT_BITS, wrong);
