// What coordinators and gateways of a run say to each other, kind by kind. Each has the epoch of the leader that it is
// of or for, and the life of the gateway: what is of another is nobody's business any more.

import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import { decodePlain, encodePlain } from "../../shared/wire/plain-message.ts";
import { leaseTermsSchema } from "../../shared/wire/protocol.ts";
import { runStatusSchema } from "../../shared/wire/run-status.ts";

const counting = z.number().int().min(0);
const hash = z.string().regex(/^[0-9a-f]{64}$/);
const id = z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/);
const name = z.string().max(200);
const secret = z.string().min(1).max(512);
const positions = { from: counting, to: counting };
const range = z.strictObject(positions);

/** Leases that a gateway may hold, kept sums that it may name, and ranges of one. */
export const MOST_HELD = 256;
const MOST_KEPT = 8;
const MOST_RANGES = 4096;
/** Parameter sets of a run, and the frames of all of them: four changes each, and the whole. */
const MOST_VERSIONS = 64;
const MOST_FRAMES = 512;
/** Changes of one set. */
const MOST_CHANGES = 16;
export const MOST_STANDINGS = 256;
/** Ranges of a pass that are told at once: where there are more, they are told coarser. */
export const MOST_WATCHED = 256;
/** Of a checkpoint. */
const MOST_FILES = 256;
/** Accounts that one message names. */
const MOST_ACCOUNTS = 64;

const scope = { epoch: counting, life: counting };
const accounts = z.array(hash).max(MOST_ACCOUNTS);

/** A range that another account is to compute too: none of those that answered already. */
const copy = { ...positions, answered: accounts, /** A round waits for it. */ awaited: z.boolean() };

const frame = z.strictObject({ name, bytes: counting, sha256: hash });
const version = z.strictObject({
  set: name,
  hash,
  changes: z.array(z.strictObject({ name, bytes: counting, base: hash })).max(MOST_CHANGES),
  whole: z.strictObject({ name, bytes: counting }),
});
const held = z.strictObject({ lease: counting, ...positions, covered: z.boolean() });
/** Who has computed a range again, and its contribution. */
const answered = {
  audit: counting,
  account: hash,
  /** It is the operator's own. */
  own: z.boolean(),
  /** Its kind of device. */
  device: hash,
  name,
  bytes: counting,
  sha256: hash,
};
/** A sum of what a gateway covered, that it keeps until the step is stable. */
const kept = z.strictObject({
  step: counting,
  key: hash,
  name,
  bytes: counting,
  sha256: hash,
  samples: counting,
  ranges: z.array(range).max(MOST_RANGES),
});
export type KeptPartial = z.output<typeof kept>;

/** What an account has earned, as the one who writes it says. */
const standing = z.strictObject({
  account: hash,
  consecutiveValid: counting,
  strikes: counting,
  /** Milliseconds that it still rests. */
  restMs: z.number().min(0),
  /** How often its error feedback was void. */
  voids: counting,
  /** At so many gateways it is, which share what it may hold of a round. */
  gateways: counting,
});
export type StandingMessage = z.output<typeof standing>;

const beat = {
  ...scope,
  /** Rises with each of a life: an older one that comes late says nothing. */
  number: counting,
  /** Of the round that it collects; null where it has none. */
  key: hash.nullable(),
  /** Samples a second. */
  speed: z.number().min(0),
  /** Leases that it holds at most; 0 where nobody is there to compute. */
  room: counting,
  workers: counting,
  accounts: counting,
  /** Samples of its leases that nobody has answered, and those of them that nobody has begun. */
  open: counting,
  free: counting,
  leases: z.array(held).max(MOST_HELD),
  kept: z.array(kept).max(MOST_KEPT),
};

/** What is waited for by name, and how far it is: of whoever leads, for those who look on elsewhere. */
const watched = z.strictObject({
  paused: z.enum(["no", "soon", "yes"]),
  checkpointStep: counting.nullable(),
  checkpointWanted: z.boolean(),
  pass: z.strictObject({
    title: name,
    samples: counting,
    committed: z.array(range).max(MOST_WATCHED),
    collected: z.array(range).max(MOST_WATCHED),
    leased: z.array(range).max(MOST_WATCHED),
  }),
});
export type WatchedRun = z.output<typeof watched>;

/** What may be asked of whoever leads, by whoever has the operator's token. */
const command = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("pause") }),
  z.strictObject({ type: z.literal("go-on") }),
  z.strictObject({ type: z.literal("checkpoint") }),
  z.strictObject({ type: z.literal("stop") }),
]);

/** A committed record as the log's line has it, and what it was made of. */
const commit = {
  ...scope,
  leader: id,
  /** Records of the log, this one included, and committed steps. */
  length: counting,
  step: counting,
  /** The line's hash, and that of the line before. */
  chain: hash,
  before: hash,
  line: z.string().max(2 ** 19),
  /** The round's, where a step is committed; null else. */
  key: hash.nullable(),
  terms: leaseTermsSchema.nullable(),
  /** The sum that was applied, as whoever leads offers it; null where nobody follows, or nothing was summed. */
  sum: frame.nullable(),
  /** What belongs to it beside the numbers: norms, peaks, standings. */
  aside: frame.nullable(),
};

const schemas = {
  /** A round: what gateways collect, and the parameters that volunteers need. */
  open: z.strictObject({
    ...scope,
    leader: id,
    step: counting,
    round: counting,
    /** SHA-256 of the terms without round and era: two leaders' rounds of one key are the same round. */
    key: hash,
    terms: leaseTermsSchema,
    versions: z.array(version).max(MOST_VERSIONS),
    frames: z.array(frame).max(MOST_FRAMES),
    /** What is usual of norms and peaks, as a checkpoint has it. */
    usual: z.strictObject({ norms: z.unknown(), peaks: z.unknown() }),
    /** Of the whole round, of which accounts' shares are. */
    samples: counting,
    /** Where shards of the data set are to be had over HTTP; null where this leader has no door. */
    address: z.string().max(2048).nullable(),
    accounts: counting,
  }),
  commit: z.strictObject(commit),
  /** A checkpoint or a standby holds this step: sums up to it need not be kept. */
  stable: z.strictObject({ ...scope, step: counting }),
  status: z.strictObject({ ...scope, leader: id, status: runStatusSchema, watched: watched.optional() }),
  trust: z.strictObject({ ...scope, standings: z.array(standing).max(MOST_STANDINGS) }),
  /** Answers `admit`. */
  standing: z.strictObject({ ...scope, standing }),

  lease: z.strictObject({
    ...scope,
    round: counting,
    lease: counting,
    ...positions,
    ranges: z.array(range).max(MOST_RANGES),
    adopted: z.literal(true).optional(),
  }),
  /** Give back what is not begun, but for the first so many samples of it. */
  trim: z.strictObject({ ...scope, round: counting, keep: counting }),
  /** Send the sum. */
  need: z.strictObject({ ...scope, round: counting }),
  /** Begin anew with another life. */
  drop: z.strictObject({ ...scope }),
  /** Compute a range of the round of this key that another gateway's volunteer was leased, and give the frame. */
  away: z.strictObject({ ...scope, key: hash, audit: counting, ...copy }),
  /** Who has what `audit` asked for; of how many accounts the whole run is. */
  answer: z.strictObject({ ...scope, ...answered, holder: id, accounts: counting }),
  /** Nobody elsewhere can compute what `audit` asked for. */
  home: z.strictObject({ ...scope, audit: counting }),

  join: z.strictObject(beat),
  beat: z.strictObject(beat),
  covered: z.strictObject({ ...scope, lease: counting }),
  returned: z.strictObject({ ...scope, lease: counting, ...positions, notFinite: z.boolean().optional() }),
  admit: z.strictObject({ ...scope, account: hash, gone: z.boolean().optional() }),
  verdict: z.strictObject({
    ...scope,
    audit: counting,
    right: accounts,
    wrong: accounts,
    /** Whose signs differ, for which nobody is blamed at once. */
    doubted: accounts.optional(),
    ranges: z.array(range).max(MOST_RANGES),
    /** Accounts whose error feedback is void from now on, each with how often it was. */
    voids: z.array(z.tuple([hash, counting])).max(64),
  }),
  /** Accounts whose work was beyond what is usual in the round of this key; answered with `judged`. */
  unusual: z.strictObject({ ...scope, key: hash, accounts }),
  /** Whether the training itself made a jump, as the leader sees it; of how many accounts the whole run is. */
  judged: z.strictObject({ ...scope, key: hash, jump: z.boolean(), accounts: counting }),
  /** Asks for another gateway to decide an audit; answered with `drawn`, and at last with `answer`. */
  audit: z.strictObject({ ...scope, key: hash, audit: counting, ...copy }),
  /** By whom; null where nobody else can. */
  drawn: z.strictObject({ ...scope, by: id.nullable() }),
  /** What `away` asked for is there; `voids`: how often the account's error feedback was void. */
  answered: z.strictObject({ ...scope, ...answered, voids: counting }),
  /** Nobody here can compute what `away` asked for. */
  declined: z.strictObject({ ...scope, audit: counting }),
  /** From a standby: how many records are in its log, how many in its parameters, and up to which step. */
  follows: z.strictObject({ epoch: counting, standby: id, length: counting, applied: counting, step: counting }),
  /** Asks the leader for its state; answered with `state`. */
  load: z.strictObject({ standby: id }),
  /** What a standby begins with: the log's lines and a checkpoint that is as new; null where there is none yet. */
  state: z.strictObject({
    epoch: counting,
    leader: id,
    state: z
      .strictObject({ step: counting, length: counting, log: frame, files: z.array(frame).max(MOST_FILES) })
      .nullable(),
  }),
  /** Asks whoever leads what the run is; answered with `run`. */
  about: z.strictObject({ node: id }),
  run: z.strictObject({
    epoch: counting,
    leader: id,
    run: z.string().min(1).max(200),
    /** The configuration as run.yaml has it, and the secrets that let volunteers and operators in. */
    config: z.string().max(2 ** 18),
    token: secret,
    operatorToken: secret,
    dashboardToken: secret,
  }),

  /** Asks a holder for its door; answered with `at`. */
  door: z.strictObject({}),
  /** Where long bytes are to be had over HTTP, and the token of whoever asked; null where over the bus alone. */
  at: z.strictObject({ url: z.string().max(2048).nullable(), token: z.string().max(512) }),
  /** From a coordinator or a gateway at whose dashboard it was asked for; answered with `done`. */
  operate: z.strictObject({ node: id, token: secret, command }),
  /** What became of it; the code of a refusal, and why. */
  done: z.strictObject({
    leader: id,
    refused: z.strictObject({ code: name, message: z.string().max(1000) }).nullable(),
  }),

  ack: z.strictObject({ name, want: z.array(counting).max(64) }),
} as const;

export type Kind = keyof typeof schemas;
export type Payload<K extends Kind> = z.output<(typeof schemas)[K]>;
/** Kinds that the leader tells everybody, and that it is asked by whoever stands by. */
export type ToAll = "open" | "commit" | "stable" | "status" | "trust" | "load" | "follows" | "about";
/** Kinds that the leader tells one gateway. */
export type ToGateway = "lease" | "trim" | "need" | "drop" | "away" | "answer" | "home";
/** Kinds that a gateway tells. */
export type FromGateway =
  | "join"
  | "beat"
  | "covered"
  | "returned"
  | "admit"
  | "verdict"
  | "unusual"
  | "audit"
  | "answered"
  | "declined";

/** Kinds that any node asks whoever leads. */
export type FromNode = "operate";

/** @throws RangeError where it is no such message, which is a mistake here */
export function encode<K extends Kind>(_kind: K, payload: Payload<K>): Uint8Array<ArrayBuffer> {
  return encodePlain(payload);
}

/** What a message says; undefined where it is none of its kind, as another build may write it. */
export function decode<K extends Kind>(kind: K, data: Uint8Array): Payload<K> | undefined {
  try {
    return decodePlain(data, schemas[kind] as unknown as z.ZodType<Payload<K>>);
  } catch (error) {
    if (error instanceof BitswarmError) return undefined;
    throw error;
  }
}
