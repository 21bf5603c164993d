// What went wrong with a bucket, in words that name what to do, and none of its secrets: what storage answers repeats
// keys and signatures, so of an answer no more than its code is shown.

import { BitswarmError } from "../../shared/base/errors.ts";
import { type BucketAccess, bucketPlace } from "./bucket-access.ts";

/** Of an answer that says why: S3's have some hundred bytes. */
const MOST_ANSWER_BYTES = 2 ** 16;

/** S3's code for what went wrong; empty where it does not say. */
async function codeOf(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  let text = "";
  while (reader && text.length < MOST_ANSWER_BYTES) {
    const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }));
    if (done || value === undefined) break;
    text += decoder.decode(value, { stream: true });
  }
  await reader?.cancel().catch(() => undefined);
  return /<Code>([A-Za-z]{1,64})<\/Code>/.exec(text)?.[1] ?? "";
}

/** @param store `s3://bucket/prefix` */
function advice(
  status: number,
  code: string,
  store: string,
  { region, endpoint }: BucketAccess,
  done: Done,
): string | undefined {
  const { bucket } = bucketPlace(store);
  const at = endpoint === undefined ? `AWS, region ${region}` : new URL(endpoint).host;
  switch (code) {
    case "NoSuchBucket":
      return `there is no bucket ${bucket} at ${at}: check data.store, AWS_REGION and AWS_ENDPOINT_URL`;
    case "InvalidAccessKeyId":
      return `${at} does not know this AWS_ACCESS_KEY_ID: check it, and that AWS_ENDPOINT_URL is of the same provider`;
    case "SignatureDoesNotMatch":
      return "AWS_SECRET_ACCESS_KEY is not that of AWS_ACCESS_KEY_ID: copy both anew";
    case "ExpiredToken":
    case "InvalidToken":
    case "TokenRefreshRequired":
      return "AWS_SESSION_TOKEN is over: get new keys, export all three, and resume the run";
    case "RequestTimeTooSkewed":
    case "RequestExpired":
      return "the clock of this machine is wrong by more than a few minutes: set it (timedatectl set-ntp true)";
    case "AuthorizationHeaderMalformed":
    case "PermanentRedirect":
    case "IllegalLocationConstraintException":
      return `the bucket is in another region than ${region}: export AWS_REGION with its own`;
    default:
      if (status === 301 || status === 307) {
        return `the bucket is in another region than ${region}: export AWS_REGION with its own`;
      }
      if (status === 401 || status === 403) {
        return done === "read"
          ? `these keys may not read it: allow s3:GetObject on ${bucket}, or check that data.store names what they may read`
          : `these keys may not do that: allow ${rights[done]} on ${bucket}`;
      }
      return undefined;
  }
}

/** What was to be done with an object. */
export type Done = "read" | "written" | "listed" | "removed";
const rights = { written: "s3:PutObject", listed: "s3:ListBucket", removed: "s3:DeleteObject" } as const;

/** The error for an answer that is none of the wanted. @param what was asked for, with the store's name */
export async function answerError(
  response: Response,
  what: string,
  store: string,
  access: BucketAccess,
  done: Done = "read",
): Promise<BitswarmError> {
  const { status } = response;
  const code = await codeOf(response);
  const shown = `HTTP ${status}${code === "" ? "" : ` ${code}`}`;
  if (done === "read" && status === 404 && code !== "NoSuchBucket") {
    return new BitswarmError(
      "DATA_MISSING",
      `${what} is not there (${shown}): check data.store, or upload the store again, its manifest.json last`,
    );
  }
  const hint = advice(status, code, store, access, done) ?? "try again later, or ask the storage's provider";
  return new BitswarmError("BUCKET_REFUSED", `${what} cannot be ${done} (${shown}): ${hint}`);
}

/** The error for storage that does not answer. */
export function silenceError(cause: unknown, what: string, { endpoint, region }: BucketAccess): BitswarmError {
  const { code, message } = ((cause as Error)?.cause ?? cause ?? {}) as { code?: string; message?: string };
  const at = endpoint === undefined ? `AWS, region ${region}` : new URL(endpoint).host;
  const why = code ?? message ?? "no reason was given";
  return new BitswarmError(
    "BUCKET_REFUSED",
    `${what}: ${at} does not answer (${why}): check the network, AWS_ENDPOINT_URL and AWS_REGION`,
  );
}
