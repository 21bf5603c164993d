// The bytes of a teacher's file, or what stands in their place and how to make of it what is read: safetensors.

import { readFile, stat } from "node:fs/promises";
import { BitswarmError } from "../../shared/base/errors.ts";
import { readSafetensors, type Safetensors } from "../../shared/base/safetensors.ts";
import { type FileKind, fileKind, kindInWords, readHead } from "../disk/file-kind.ts";

/** Bytes of a file that is read whole. */
export const MOST_TEACHER_BYTES = 2 ** 31 - 1;

const save = (from: string, values: string) =>
  `convert it in Python: ${from}; from safetensors.numpy import save_file; save_file(${values}, "teacher.safetensors")`;

const fromTorch = (path: string) =>
  `import torch; from safetensors.torch import save_file; s = torch.load(${path}, map_location="cpu", weights_only=True); s = s.get("state_dict", s); save_file({k: v.contiguous() for k, v in s.items()}, "teacher.safetensors")`;

/** Names that PyTorch's files have. */
const torchName = /\.(pt|pth|ckpt|bin)$/i;

/** The kind by content, and where that leaves it open by name. */
function kindOf(head: Buffer, path: string): FileKind | undefined {
  const kind = fileKind(head);
  return (kind === "zip" || kind === "pickle") && torchName.test(path) ? "torch" : kind;
}

/** What to do with a file of another kind. @param path as a Python string */
function conversion(kind: FileKind, path: string): string {
  switch (kind) {
    case "torch":
      return `convert it in Python: ${fromTorch(path)}`;
    case "pickle":
    case "zip":
      return `if PyTorch wrote it, convert it in Python: ${fromTorch(path)}`;
    case "npz":
      return save("import numpy", `dict(numpy.load(${path}))`);
    case "onnx":
      return save(
        "import onnx, onnx.numpy_helper as h",
        `{t.name: h.to_array(t) for t in onnx.load(${path}).graph.initializer}`,
      );
    case "lfs":
      return "get the file itself with `git lfs pull`";
    case "gzip":
      return "unpack it with gunzip";
    case "tar":
    case "archive":
      return "unpack it, and give the safetensors file that is in it";
    case "web-page":
    case "xml":
    case "json":
      return "the download gave an answer in place of the file: get it again";
    case "npy":
      return "one array is no network: save all of them, by PyTorch's names, as safetensors";
    case "gguf":
    case "hdf5":
    case "tflite":
      return "its tensors have other names and another order: save the PyTorch model of it as safetensors";
    case "image":
      return "give the safetensors file";
    default:
      return kind satisfies never;
  }
}

function missing(path: string, what: string, cause?: unknown): BitswarmError {
  return new BitswarmError(
    "DATA_MISSING",
    `teacher.file: ${path} ${what}; give a safetensors file, or leave the field out to train a teacher`,
    { cause },
  );
}

function invalid(path: string, what: string, cause?: unknown): BitswarmError {
  return new BitswarmError("SAFETENSORS_INVALID", `teacher.file: ${path} ${what}`, { cause });
}

async function bytesOf(path: string): Promise<Uint8Array> {
  try {
    const info = await stat(path);
    if (info.isDirectory()) throw missing(path, "is a folder");
    if (!info.isFile()) throw missing(path, "is no regular file");
    if (info.size === 0) throw invalid(path, "is empty: get or copy it again");
    if (info.size > MOST_TEACHER_BYTES) {
      throw invalid(
        path,
        `has ${info.size} bytes; the limit is ${MOST_TEACHER_BYTES}: keep only the teacher's tensors in it`,
      );
    }
    const kind = kindOf(await readHead(path), path);
    if (kind !== undefined) {
      throw invalid(path, `is ${kindInWords(kind)}, no safetensors file: ${conversion(kind, JSON.stringify(path))}`);
    }
    return await readFile(path);
  } catch (cause) {
    if (cause instanceof BitswarmError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") throw missing(path, "is not there", cause);
    throw missing(path, `cannot be read (${message})`, cause);
  }
}

/** @throws SAFETENSORS_INVALID saying what the file is and how to convert it, DATA_MISSING; both name field and file */
export async function readTeacherSource(path: string): Promise<Safetensors> {
  const bytes = await bytesOf(path);
  try {
    return readSafetensors(bytes);
  } catch (cause) {
    if (!(cause instanceof BitswarmError)) throw cause;
    throw invalid(path, `is no whole safetensors file: ${cause.message}. Get or copy it again, or save it anew`, cause);
  }
}
