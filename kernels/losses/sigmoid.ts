// The sigmoid of a logit, for losses and what watches them.

/** Declares `decay` (e^-|z|, above 0 in f32) and `sigmoid`, of f32; reads nothing. */
export const SIGMOID = `
fn decay(z: f32) -> f32 { return exp(-min(abs(z), 87.0)); }
fn sigmoid(z: f32) -> f32 {
  let e = decay(z);
  return select(e, 1.0, z >= 0.0) / (1.0 + e);
}`;
