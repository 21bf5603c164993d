// A bucket's name, keys and errors; every request is signed as AWS documents, checked by code of this house.

import { expect, test } from "vitest";
import { bucketAccess, bucketPlace, bucketUrl } from "../../../coordinator/store/bucket-access.ts";
import { BucketStore, SIGNED_SECONDS } from "../../../coordinator/store/bucket-store.ts";
import { strictBucket, strictKeys } from "../../fixtures/strict-bucket.ts";

const store = "s3://photos.of-cats/image net/v1+2";
const sha256 = "ab".repeat(32);
const failure = async (of: Promise<unknown>) => (await of.catch((error: Error) => error)) as Error & { code: string };

test("I68 requests and addresses are signed as AWS documents, also where a key has odd characters", async () => {
  const { asked, environment } = await strictBucket(() => undefined);
  const bucket = new BucketStore(store, environment);
  expect(await failure(bucket.manifest())).toMatchObject({ code: "DATA_INVALID" });
  expect(asked.map(({ url }) => url)).toEqual(["/photos.of-cats/image%20net/v1%2B2/manifest.json"]);
  const { url, expires } = await bucket.sign({ sha256 });
  expect(expires).toBe(SIGNED_SECONDS);
  expect(new URL(url).searchParams.get("X-Amz-Expires")).toBe(String(SIGNED_SECONDS));
  expect((await fetch(url, { headers: { range: "bytes=0-9" } })).status).toBe(200);
  for (const tampered of [url.replace(sha256, "cd".repeat(32)), url.replace("Expires=7200", "Expires=7201")]) {
    expect((await fetch(tampered)).status).toBe(403);
  }
});

test("I68 keys for a while sign with their token", async () => {
  const { asked, environment } = await strictBucket(() => undefined);
  const bucket = new BucketStore(store, { ...environment, AWS_SESSION_TOKEN: "for a while" });
  await failure(bucket.manifest());
  expect(asked[0].headers["x-amz-security-token"]).toBe("for a while");
  const { url } = await bucket.sign({ sha256 });
  expect(new URL(url).searchParams.get("X-Amz-Security-Token")).toBe("for a while");
  expect((await fetch(url)).status).toBe(200);
});

test.each<[number, string, string, RegExp]>([
  [403, "AccessDenied", "BUCKET_REFUSED", /allow s3:GetObject on photos\.of-cats/],
  [403, "RequestTimeTooSkewed", "BUCKET_REFUSED", /the clock of this machine is wrong/],
  [400, "ExpiredToken", "BUCKET_REFUSED", /AWS_SESSION_TOKEN is over: get new keys/],
  [301, "PermanentRedirect", "BUCKET_REFUSED", /another region than eu-central-1: export AWS_REGION/],
  [404, "NoSuchBucket", "BUCKET_REFUSED", /there is no bucket photos\.of-cats at 127\.0\.0\.1/],
  [404, "NoSuchKey", "DATA_MISSING", /manifest\.json is not there .*upload the store again/],
  [418, "Teapot", "BUCKET_REFUSED", /HTTP 418 Teapot\): try again later/],
])(
  "I68 HTTP %d %s is %s with what to do, and repeats nothing of the answer",
  async (status, answered, code, message) => {
    const { environment } = await strictBucket(() => [status, answered]);
    const error = await failure(new BucketStore(store, environment).manifest());
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    expect(`${error.message}${error.stack}`).not.toMatch(/AKID|wJalr|secret words/);
  },
);

test.each<[string, Record<string, string>, RegExp]>([
  ["secret", { AWS_SECRET_ACCESS_KEY: "another" }, /SignatureDoesNotMatch\): AWS_SECRET_ACCESS_KEY is not that of/],
  ["key", { AWS_ACCESS_KEY_ID: "AKIANOBODY" }, /InvalidAccessKeyId\): .*does not know this AWS_ACCESS_KEY_ID/],
  ["region", { AWS_REGION: "us-east-1" }, /AuthorizationHeaderMalformed\): .*export AWS_REGION/],
  ["endpoint", { AWS_ENDPOINT_URL: "http://127.0.0.1:1" }, /127\.0\.0\.1:1 does not answer \(.*\): check the network/],
])("I68 a wrong %s is told as such", async (_, wrong, message) => {
  const { environment } = await strictBucket(() => undefined);
  const error = await failure(new BucketStore(store, { ...environment, ...wrong }).manifest());
  expect(error).toMatchObject({ code: "BUCKET_REFUSED", message: expect.stringMatching(message) });
  expect(error.message).not.toMatch(/AKID|AKIA|wJalr|secret words/);
});

test("I68 what is missing in the environment is named, and nothing that is there", () => {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = strictKeys;
  expect(() => bucketAccess({}, store)).toThrow(/no AWS_ACCESS_KEY_ID and no AWS_SECRET_ACCESS_KEY: export/);
  expect(() => bucketAccess({ AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY: " " }, store)).toThrow(
    /no AWS_SECRET_ACCESS_KEY/,
  );
  const endpoint = (AWS_ENDPOINT_URL: string) => () =>
    bucketAccess({ AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL }, store);
  for (const odd of ["minio:9000", "ftp://x", "https://user:word@x/", "https://x/?a=b"]) {
    expect(endpoint(odd)).toThrow(/AWS_ENDPOINT_URL is no address/);
  }
  expect(endpoint("https://x/minio/")()).toEqual({
    accessKeyId: AWS_ACCESS_KEY_ID,
    secretAccessKey: AWS_SECRET_ACCESS_KEY,
    region: "us-east-1",
    endpoint: "https://x/minio",
  });
});

test("a store's name in a bucket has a bucket, and perhaps a prefix", () => {
  expect(bucketPlace("s3://photos")).toEqual({ bucket: "photos", prefix: "" });
  expect(bucketPlace("s3://photos/")).toEqual({ bucket: "photos", prefix: "" });
  expect(bucketPlace("s3://photos/a/b/")).toEqual({ bucket: "photos", prefix: "a/b" });
  for (const odd of ["s3://", "s3://Photos", "s3://ab", "s3://photos/../x", "s3://photos/a//b", "s3://photos/a?b"]) {
    expect(() => bucketPlace(odd)).toThrow(/names no store in a bucket; write s3:\/\/BUCKET\/PREFIX/);
  }
});

test("at AWS a bucket has a host of its own, unless its name has dots", () => {
  const access = { accessKeyId: "a", secretAccessKey: "b", region: "eu-west-1" };
  expect(bucketUrl({ bucket: "photos", prefix: "a" }, access)).toBe("https://photos.s3.eu-west-1.amazonaws.com/a/");
  expect(bucketUrl({ bucket: "my.photos", prefix: "" }, access)).toBe("https://s3.eu-west-1.amazonaws.com/my.photos/");
});
