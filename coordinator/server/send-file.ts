// Sends a part of a file as an answer, no faster than it is taken.

import { open } from "node:fs/promises";
import type { ServerResponse } from "node:http";

/** Bytes that are read from the disk at a time, and wait for a socket. */
const READ_BYTES = 2 ** 18;

/** Writes a head and bytes [begin, end) of a file. */
export async function sendFile(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  path: string,
  begin: number,
  end: number,
): Promise<void> {
  if (begin === end) return void response.writeHead(status, headers).end();
  const file = await open(path, "r");
  try {
    response.writeHead(status, headers);
    for (let at = begin; at < end; ) {
      const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, end - at));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
      // The file was cut off: so is the answer.
      if (bytesRead === 0) return void response.destroy();
      at += bytesRead;
      if (!response.write(buffer.subarray(0, bytesRead)) && at < end) await drained(response);
      if (response.destroyed) return;
    }
    response.end();
  } finally {
    await file.close();
  }
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done);
      response.off("close", done);
      resolve();
    };
    response.on("drain", done);
    response.on("close", done);
  });
}
