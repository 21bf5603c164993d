// The largest value of each number of a configuration: far beyond what anybody trains with, and small enough that
// everything that is computed from it stays exact, fits a timer, and comes to an end.

/** Samples of a step: what a hundred thousand volunteers compute in some seconds. */
export const MOST_BATCH = 2 ** 28;
/** Samples of one forward pass. */
export const MOST_MICROBATCH = 1024;
/** Epochs of a network: each is a pass that programs, logs and status list. */
export const MOST_EPOCHS = 10_000;
/** Steps, where a configuration counts them. */
export const MOST_STEPS = 2 ** 31 - 1;
/** Milestones of a schedule. */
export const MOST_MILESTONES = 100;
/** Rates of learning, weights of losses, decays and factors. */
export const MOST_FACTOR = 1e6;
/** Channels of an image. */
export const MOST_CHANNELS = 64;
/** A week, in milliseconds: timers count to 2^31, 24 days. */
export const MOST_MS = 7 * 24 * 3600 * 1000;
/** An hour, in milliseconds: between pings of one session. */
export const MOST_HEARTBEAT_MS = 3600 * 1000;
/** Microbatches of a lease. */
export const MOST_LEASE_MICROBATCHES = 128;
/** Pieces that a worker's share of a round is cut into. */
export const MOST_PIECES = 1024;
export const MOST_WORKERS = 100_000;
/** Sockets or joins of one network address. */
export const MOST_PER_ADDRESS = 1_000_000;
/** 1 TiB. */
export const MOST_HELD_MIB = 2 ** 20;
export const MOST_CHECKPOINTS = 10_000;
/** Characters of what a run says of itself: some sentences, a name with an address, a link. */
export const MOST_DESCRIPTION = 600;
export const MOST_CONTACT = 120;
export const MOST_URL = 512;
/** Characters of a path. */
export const MOST_PATH = 4096;
