// Where a bucket is and who may read it, as the AWS tools take it from the environment.

import { BitswarmError } from "../../shared/base/errors.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Of a bucket whose region nobody names; storage that is not AWS's mostly takes any. */
const USUAL_REGION = "us-east-1";

export interface BucketPlace {
  readonly bucket: string;
  /** Without slashes at its ends; empty for the bucket itself. */
  readonly prefix: string;
}

export interface BucketAccess {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly region: string;
  /** Of storage that is not AWS's, without a slash at its end. */
  readonly endpoint?: string;
}

function invalid(message: string): BitswarmError {
  return new BitswarmError("CONFIG_INVALID", message);
}

/** @throws CONFIG_INVALID for what is no `s3://bucket/prefix` */
export function bucketPlace(store: string): BucketPlace {
  const [, bucket, path = ""] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/.exec(store) ?? [];
  const prefix = path.replace(/^\/+|\/+$/g, "");
  if (bucket !== undefined && !/[?#]|(^|\/)\.{0,2}(\/|$)/.test(prefix === "" ? "all" : prefix))
    return { bucket, prefix };
  throw invalid(
    `${JSON.stringify(store)} names no store in a bucket; write s3://BUCKET/PREFIX, BUCKET of 3 to 63 small letters, digits, dots and dashes`,
  );
}

/** An address of storage; a page may fetch from nothing but https, and from this machine. @throws CONFIG_INVALID */
function endpointOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const plain = url && /^https?:$/.test(url.protocol) && url.username === "" && url.search === "" && url.hash === "";
  if (url && plain) return url.href.replace(/\/+$/, "");
  throw invalid("AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL is no address; write https://HOST, without a user or a query");
}

/** @throws CONFIG_INVALID naming what is missing; no value is repeated */
export function bucketAccess(environment: Environment, store: string): BucketAccess {
  const given = (name: string) => (environment[name]?.trim() === "" ? undefined : environment[name]?.trim());
  const missing = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].filter((name) => given(name) === undefined);
  if (missing.length > 0) {
    throw invalid(
      `${store} is in a bucket, and the environment has no ${missing.join(" and no ")}: export the keys of a user who may read it (s3:GetObject), and AWS_ENDPOINT_URL where the bucket is not at AWS`,
    );
  }
  const sessionToken = given("AWS_SESSION_TOKEN");
  const endpoint = given("AWS_ENDPOINT_URL_S3") ?? given("AWS_ENDPOINT_URL");
  return {
    accessKeyId: given("AWS_ACCESS_KEY_ID") as string,
    secretAccessKey: given("AWS_SECRET_ACCESS_KEY") as string,
    region: given("AWS_REGION") ?? given("AWS_DEFAULT_REGION") ?? USUAL_REGION,
    ...(sessionToken === undefined ? {} : { sessionToken }),
    ...(endpoint === undefined ? {} : { endpoint: endpointOf(endpoint) }),
  };
}

/** The address that objects' keys are put behind, with a slash at its end. */
export function bucketUrl({ bucket, prefix }: BucketPlace, { endpoint, region }: BucketAccess): string {
  const folder = prefix === "" ? "" : `${prefix.split("/").map(encodeURIComponent).join("/")}/`;
  // A certificate for *.s3.REGION.amazonaws.com does not fit a name with dots.
  const atAws = bucket.includes(".")
    ? `https://s3.${region}.amazonaws.com/${bucket}`
    : `https://${bucket}.s3.${region}.amazonaws.com`;
  return `${endpoint === undefined ? atAws : `${endpoint}/${bucket}`}/${folder}`;
}
