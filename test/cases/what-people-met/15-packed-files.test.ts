// The page's files go out packed: a third of their bytes or less are on the wire.

import { get } from "node:http";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { startTestRun } from "../../fixtures/test-run.ts";

interface Answer {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** As they came: fetch would unpack them. */
  readonly bytes: Buffer;
}

function ask(url: URL, headers: Readonly<Record<string, string>>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    get(url, { headers }, async (response) => {
      const parts: Buffer[] = [];
      for await (const part of response) parts.push(part);
      resolve({ status: response.statusCode, headers: response.headers, bytes: Buffer.concat(parts) });
    }).on("error", reject);
  });
}

test("H21 a file is sent packed to whoever takes that, each form under an ETag of its own", async () => {
  const { url } = await startTestRun();
  const html = String((await ask(new URL(url), { "accept-encoding": "identity" })).bytes);
  const script = new URL(/<script[^>]* src="([^"]+)"/.exec(html)?.[1] ?? "", url);
  const plain = await ask(script, {});
  expect(plain.headers).toMatchObject({
    vary: "accept-encoding",
    "content-type": expect.stringMatching(/^text\/javascript/),
  });
  expect(plain.headers).not.toHaveProperty("content-encoding");
  const brotli = await ask(script, { "accept-encoding": "gzip, deflate, br, zstd" });
  expect(brotli.headers).toMatchObject({ "content-encoding": "br", vary: "accept-encoding" });
  expect(brotliDecompressSync(brotli.bytes)).toEqual(plain.bytes);
  expect(brotli.bytes.length).toBeLessThan(plain.bytes.length / 2.5);
  const gzip = await ask(script, { "accept-encoding": "gzip, br;q=0" });
  expect(gzip.headers["content-encoding"]).toBe("gzip");
  expect(gunzipSync(gzip.bytes)).toEqual(plain.bytes);
  const etags = [plain, brotli, gzip].map(({ headers }) => headers.etag);
  expect(new Set(etags).size).toBe(3);
  const again = await ask(script, { "accept-encoding": "br", "if-none-match": String(brotli.headers.etag) });
  expect([again.status, again.bytes.length]).toEqual([304, 0]);
  // The packed forms are no files of their own.
  expect((await ask(new URL(`${script.pathname}.br`, url), {})).status).toBe(404);
});

test("the page itself is packed too, and its own script is what its policy names", async () => {
  const { url } = await startTestRun();
  const { headers, bytes } = await ask(new URL(url), { "accept-encoding": "br" });
  expect(headers).toMatchObject({ "content-encoding": "br", "cache-control": "no-store" });
  const html = String(brotliDecompressSync(bytes));
  const [, named] = /'(sha256-[^']+)'/.exec(String(headers["content-security-policy"])) ?? [];
  expect(named).toBeDefined();
  // Of two policies both must allow it: the header's and the page's own.
  expect(/http-equiv="Content-Security-Policy"\s+content="([^"]+)"/.exec(html)?.[1]).toContain(`'${named}'`);
});
