// Why a worker is gone, or its connection.

import type { ErrorCode } from "../../shared/base/errors.ts";

/** Why a session is over: an error of ours, the volunteer's word, or the socket's end. */
export type LeaveCode = ErrorCode | "LEFT" | "GONE";
