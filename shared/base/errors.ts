// The one error class of the house: a stable code, and a message of what, limit, actual value, and what to do next.
// SPEC.md lists the codes.

import { storageCause } from "./system-errors.ts";

/**
 * Every code, with the WebSocket close code that a peer sees (4000-4999 are for applications; 1009 is "message too
 * big").
 */
export const errorCodes = {
  CONFIG_INVALID: 4000,
  TOKEN_INVALID: 4001,
  PROTOCOL_MISMATCH: 4002,
  MESSAGE_INVALID: 4003,
  FRAME_TOO_LARGE: 1009,
  FRAME_TRUNCATED: 4005,
  FRAME_CORRUPT: 4006,
  LEASE_UNKNOWN: 4007,
  CONTRIBUTION_STALE: 4008,
  CONTRIBUTION_MISMATCH: 4009,
  GRADIENT_NOT_FINITE: 4010,
  HEARTBEAT_LOST: 4011,
  TOO_MANY_WORKERS: 4012,
  RUN_ENDED: 4013,
  HELLO_EXPECTED: 4014,
  IDENTITY_INVALID: 4015,
  RATE_LIMITED: 4016,
  CALIBRATION_FAILED: 4017,
  CONTRIBUTION_OUTLIER: 4018,
  CONTRIBUTION_DISPUTED: 4019,
  TRANSFER_INVALID: 4020,
  TRANSFER_STALLED: 4021,
  SESSION_REPLACED: 4022,
  TRANSFER_TOO_SLOW: 4023,
  ORIGIN_REFUSED: 4024,
  DATA_MISMATCH: 4025,
  WORKER_DRAINED: 4026,
  PORT_IN_USE: 4100,
  DATA_MISSING: 4101,
  DATA_INVALID: 4102,
  CHECKPOINT_CORRUPT: 4103,
  CHECKPOINT_MISSING: 4104,
  RUN_EXISTS: 4105,
  LEDGER_VIOLATION: 4106,
  SAFETENSORS_INVALID: 4107,
  TEACHER_MISMATCH: 4108,
  WEBGPU_MISSING: 4109,
  DEVICE_LOST: 4110,
  PLAN_TOO_LARGE: 4111,
  RUNTIME_MISSING: 4112,
  GRAPH_INVALID: 4113,
  COMMIT_LOG_CORRUPT: 4114,
  RUN_UNREACHABLE: 4115,
  COMPUTE_FAILED: 4116,
  STORAGE_FAILED: 4117,
  REPLICA_DIFFERS: 4118,
  THREAD_FAILED: 4119,
  COMMIT_LOG_FENCED: 4120,
  RUN_OF_OTHER_BUILD: 4121,
  RUN_IN_USE: 4122,
  STORE_IN_USE: 4130,
  IMPORT_REJECTS: 4131,
  BUCKET_REFUSED: 4132,
  CERTIFICATE_MISSING: 4133,
  CERTIFICATE_INVALID: 4134,
  MODEL_INVALID: 4135,
  ENGINE_TOO_OLD: 4140,
  ENGINE_UNREACHABLE: 4141,
  ENGINE_FENCED: 4142,
  REPLICA_DIVERGED: 4143,
  BULK_LOST: 4144,
  UNEXPECTED: 4199,
} as const;

export type ErrorCode = keyof typeof errorCodes;

/** An error in words, without its stack. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
}

/** Thrown for everything that a person or a peer can cause; anything else is a bug. */
export class BitswarmError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = "BitswarmError";
    this.code = code;
  }

  /** The WebSocket close code of this error. */
  get closeCode(): number {
    return errorCodes[this.code];
  }
}

/** What a program prints when it fails: always a code, also for what is no error of ours, which is a mistake here. */
export function failureText(error: unknown): string {
  if (error instanceof BitswarmError) return `error ${error.code}: ${error.message}`;
  const cause = storageCause(error);
  if (cause !== undefined) {
    const { code, path, syscall } = error as { code: string; path?: string; syscall?: string };
    return `error STORAGE_FAILED: ${path ?? syscall ?? "a file"}: ${cause} (${code}); mend that, and try again`;
  }
  if (error instanceof RangeError && /allocation failed|out of memory/i.test(error.message)) {
    return `error UNEXPECTED: ${error.message}: there is not memory enough; free some, or make the network (model), the data or trust.heldMiB smaller`;
  }
  const what = error instanceof Error ? error.message || error.name : String(error);
  return `error UNEXPECTED: ${what}; no rule foresees that: DEBUG=1 shows where it happened, please report it`;
}
