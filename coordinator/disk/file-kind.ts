// What a file is by its first bytes, whatever its name says: so that a web page, a pickle or a pointer that stands
// where data belong is called by its name.

import { open } from "node:fs/promises";

/** Kinds that are told apart. */
export type FileKind =
  | "archive"
  | "gguf"
  | "gzip"
  | "hdf5"
  | "image"
  | "json"
  | "lfs"
  | "npy"
  | "npz"
  | "onnx"
  | "pickle"
  | "tar"
  | "tflite"
  | "torch"
  | "web-page"
  | "xml"
  | "zip";

const words: Readonly<Record<FileKind, string>> = {
  archive: "an archive (7z, bzip2, rar, xz or zstd)",
  gguf: "a GGUF file",
  gzip: "a gzip file",
  hdf5: "an HDF5 file, as Keras writes",
  image: "a picture (PNG or JPEG)",
  json: "JSON",
  lfs: "a Git LFS pointer, not the file that it points to",
  npy: "a NumPy array (.npy)",
  npz: "a NumPy archive (.npz)",
  onnx: "an ONNX model",
  pickle: "a Python pickle",
  tar: "a tar archive",
  tflite: "a TensorFlow Lite model",
  torch: "a PyTorch file (torch.save)",
  "web-page": "a web page (HTML)",
  xml: "XML",
  zip: "a zip archive",
};

/** How many bytes from a file's beginning are looked at. */
export const HEAD_BYTES = 4096;

const begins = (head: Buffer, text: string, at = 0) => head.toString("latin1", at, at + text.length) === text;

/** Beginnings that say all. */
const signatures: readonly (readonly [text: string, kind: FileKind, at?: number])[] = [
  ["\x1f\x8b", "gzip"],
  ["version https://git-lfs", "lfs"],
  ["\x93NUMPY", "npy"],
  ["\x89HDF\r\n\x1a\n", "hdf5"],
  ["GGUF", "gguf"],
  ["TFL3", "tflite", 4],
  ["ustar", "tar", 257],
  ["\x89PNG", "image"],
  ["\xff\xd8\xff", "image"],
  ["7z\xbc\xaf\x27\x1c", "archive"],
  ["BZh", "archive"],
  ["Rar!", "archive"],
  ["\xfd7zXZ", "archive"],
  ["\x28\xb5\x2f\xfd", "archive"],
];

/** PyTorch's zip has `NAME/data.pkl` first, NumPy's has arrays. */
function zipKind(head: Buffer): FileKind {
  const name = head.length < 30 ? "" : head.toString("latin1", 30, 30 + head.readUInt16LE(26));
  if (name.endsWith(".npy")) return "npz";
  return /(^|\/)(data\.pkl|constants\.pkl|byteorder|version)$/.test(name) ? "torch" : "zip";
}

function textKind(head: Buffer): FileKind | undefined {
  const text = head
    .toString("utf8", 0, HEAD_BYTES)
    .replace(/^\uFEFF/, "")
    .trimStart()
    .toLowerCase();
  if (/^(<!doctype html|<html|<head|<body|<title)/.test(text)) return "web-page";
  if (text.startsWith("<?xml")) return text.includes("<html") ? "web-page" : "xml";
  if (text.startsWith("<!--") && text.includes("<html")) return "web-page";
  if (/^[{[]\s*["{[\]}]/.test(text)) return "json";
  return undefined;
}

/**
 * The kind of a file; undefined for one that no rule knows.
 * @param head its first bytes, HEAD_BYTES or all that there are; what is behind them is not looked at
 */
export function fileKind(head: Buffer): FileKind | undefined {
  const known = signatures.find(([text, , at]) => begins(head, text, at));
  if (known) return known[1];
  if (begins(head, "PK\x03\x04")) return zipKind(head);
  if (head[0] === 0x80 && head[1] >= 2 && head[1] <= 5) {
    // Before its zip, PyTorch wrote a pickle of this number first.
    return begins(head, "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 2) ? "torch" : "pickle";
  }
  // Protobuf: ir_version, then the producer's name, or its opset.
  if (head[0] === 0x08 && head[1] <= 0x20 && (head[2] === 0x12 || head[2] === 0x3a)) {
    const name = head.toString("latin1", 4, 4 + head[3]);
    if (/^[\w.+ -]{2,}$/.test(name)) return "onnx";
  }
  return textKind(head);
}

/** A kind for a sentence: "a web page (HTML)". */
export function kindInWords(kind: FileKind): string {
  return words[kind];
}

/** The first bytes of an open file, as many as `fileKind` looks at. */
export async function readHead(path: string): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    let filled = 0;
    while (filled < head.length) {
      const { bytesRead } = await file.read(head, filled, head.length - filled, filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return head.subarray(0, filled);
  } finally {
    await file.close();
  }
}
