// What a worker reports to the launcher that started it: Deno prints it as one JSON line, the page sets it as data
// attributes.
import { z } from "zod";
import { BitswarmError, type ErrorCode, errorCodes } from "../../../shared/base/errors.ts";

/** What a worker has given in its life: samples that the coordinator accepted, and how fast it computes them. */
export interface Given {
  readonly samples: number;
  readonly samplesPerSecond: number;
}

const errorCode = z.custom<ErrorCode>((value) => typeof value === "string" && Object.hasOwn(errorCodes, value));

/** One line on the standard output of a Deno worker; any other line is for people. */
const lineReport = z.discriminatedUnion("event", [
  z.object({ event: z.literal("joined"), worker: z.string() }),
  z.object({ event: z.literal("given"), samples: z.number(), samplesPerSecond: z.number() }),
  z.object({ event: z.literal("ended") }),
  z.object({ event: z.literal("failed"), code: errorCode, message: z.string() }),
]);

const counted = z
  .string()
  .regex(/^\d+(\.\d+)?$/)
  .transform(Number)
  .optional()
  .catch(undefined);

/**
 * `document.documentElement.dataset` of the volunteer page; states that are not listed (connecting, training) are its
 * own affair.
 */
const pageReport = z.object({
  state: z.string().optional(),
  worker: z.string().optional(),
  samples: counted,
  speed: counted,
  code: z.string().optional(),
  message: z.string().optional(),
});

export type LineReport =
  | { readonly kind: "joined"; readonly worker: string }
  | { readonly kind: "given"; readonly given: Given }
  | { readonly kind: "ended" }
  | { readonly kind: "failed"; readonly error: BitswarmError };

/** Whoever started a worker at a terminal has a program there that looks closer. */
function failureOf(code: ErrorCode, message: string): BitswarmError {
  const more = code === "RUN_UNREACHABLE" ? "; `doctor LINK` tells what is in the way" : "";
  return new BitswarmError(code, `${message}${more}`);
}

/** The report in a line of output, or undefined where it is an ordinary line. */
export function reportInLine(line: string): LineReport | undefined {
  if (!line.startsWith("{")) return undefined;
  const parsed = lineReport.safeParse(parseJson(line));
  if (!parsed.success) return undefined;
  switch (parsed.data.event) {
    case "joined":
      return { kind: "joined", worker: parsed.data.worker };
    case "given": {
      const { samples, samplesPerSecond } = parsed.data;
      return { kind: "given", given: { samples, samplesPerSecond } };
    }
    case "ended":
      return { kind: "ended" };
    case "failed":
      return { kind: "failed", error: failureOf(parsed.data.code, parsed.data.message) };
    default:
      return parsed.data satisfies never;
  }
}

/** What a page's data attributes say; `unset` is before the page has set any state. */
export type PageReport =
  | { readonly kind: "unset" }
  | { readonly kind: "working"; readonly worker: string | undefined; readonly given?: Given | undefined }
  | { readonly kind: "ended"; readonly worker: string | undefined }
  | { readonly kind: "failed"; readonly error: BitswarmError };

export function reportInPage(dataset: unknown): PageReport {
  const { state, worker, samples, speed, code, message } = pageReport.parse(dataset);
  if (state === undefined) return { kind: "unset" };
  if (state === "ended") return { kind: "ended", worker };
  if (state !== "failed") {
    const given = samples === undefined ? undefined : { samples, samplesPerSecond: speed ?? 0 };
    return { kind: "working", worker, given };
  }
  const known = errorCode.safeParse(code);
  const text = message ?? "the page gave no reason";
  return { kind: "failed", error: failureOf(known.success ? known.data : "COMPUTE_FAILED", text) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
