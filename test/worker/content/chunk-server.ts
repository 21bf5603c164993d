// A real HTTP server of shards: answers ranges as RFC 9110 has them, or as it is told.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import type { WrittenShard } from "../../../shared/data/shard-layout.ts";
import type { ContentOrigin } from "../../../worker/content/content-origin.ts";
import { KeptContent } from "../../../worker/content/kept-content.ts";
import { runtimePorts } from "../../../worker/platform/runtime-ports.ts";
import type { MemoryContent } from "../../fixtures/memory-content.ts";

export interface Asked {
  readonly path: string;
  readonly range: string | undefined;
}

type Answer = (request: IncomingMessage, response: ServerResponse, asked: Asked, count: number) => unknown;

/** Sends the asked part of a shard. */
export function sendPart(
  shards: readonly Pick<WrittenShard, "sha256" | "bytes">[],
  { path, range }: Asked,
  response: ServerResponse,
): void {
  const found = shards.find(({ sha256 }) => path.startsWith(`/shards/${sha256}`));
  const [, begin, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
  if (!found || begin === undefined) {
    response.writeHead(found ? 400 : 404).end();
    return;
  }
  const total = found.bytes.length;
  response
    .writeHead(206, { "content-range": `bytes ${begin}-${last}/${total}` })
    .end(found.bytes.subarray(Number(begin), Number(last) + 1));
}

/** An HTTP server of this test, what it was asked for, and a worker's way to it. */
export async function contentServer(answer: Answer, storage?: MemoryContent) {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const one = { path: request.url ?? "", range: request.headers.range };
    asked.push(one);
    answer(request, response, one, asked.length);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const from: ContentOrigin = {
    base,
    token: "t",
    kept: storage && (await KeptContent.open(storage)),
    backoff: { baseMs: 1, capMs: 4 },
    ports: runtimePorts(),
  };
  return { asked, base, from };
}
