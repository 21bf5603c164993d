// Tars as tests write them, by an independent writer.

import { pack } from "tar-stream";

export type TarFiles =
  | Readonly<Record<string, string | Uint8Array>>
  | readonly (readonly [string, string | Uint8Array])[];

export async function tarOf(files: TarFiles): Promise<Buffer> {
  const tar = pack();
  const entries = Array.isArray(files) ? files : Object.entries(files);
  for (const [name, content] of entries) tar.entry({ name }, Buffer.from(content));
  tar.finalize();
  const parts: Buffer[] = [];
  for await (const part of tar) parts.push(part as Buffer);
  return Buffer.concat(parts);
}
