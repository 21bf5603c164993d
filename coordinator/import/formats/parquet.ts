// Parquet files, a row group at a time and of it the columns that are asked for. hyparquet decodes; what a file claims
// of itself is bounded here before that.

import { type FileHandle, open, stat } from "node:fs/promises";
import {
  type AsyncBuffer,
  type ColumnMetaData,
  type FileMetaData,
  parquetMetadata,
  parquetReadObjects,
  type RowGroup,
  type SchemaElement,
} from "hyparquet";
import { parquetHeader } from "hyparquet/src/column.js";
import { type Compressors, compressors, decompressZstd } from "hyparquet-compressors";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { printable } from "../../base/printable.ts";
import { storageError } from "../../disk/storage-error.ts";
import { ThriftBounds } from "./thrift-bounds.ts";

/** Longest footer: one of 100,000 row groups takes a tenth. */
export const MAX_FOOTER_BYTES = 2 ** 26;
/** Most bytes that the columns of a row group take unpacked: they are in memory at once, and packed beside that. */
export const MAX_GROUP_BYTES = 160 * 2 ** 20;
/** Most rows of a group. */
export const MAX_GROUP_ROWS = 2 ** 22;
/** Bytes that are read to see a page's header, and the most that one may have. */
const HEADER_BYTES = 2 ** 12;
export const MAX_PAGE_HEADER_BYTES = 2 ** 20;
const MAGIC = "PAR1";

/** How to make smaller row groups, for a person who has pyarrow. */
const rewrite =
  'write it with smaller ones: python -c "import sys, pyarrow.parquet as p; f = p.ParquetFile(sys.argv[1]); w = p.ParquetWriter(sys.argv[2], f.schema_arrow); [w.write_batch(b, row_group_size=100) for b in f.iter_batches(100)]; w.close()" FROM TO';

export interface ParquetColumn {
  /** Names from the outermost structure on. */
  readonly path: readonly string[];
  readonly type: string;
  /** Whether a row may have several. */
  readonly repeated: boolean;
}

/** As hyparquet gives it: structures are objects. */
export type ParquetRow = Readonly<Record<string, unknown>>;

const bounded: Compressors = { ...compressors, ZSTD: (input, bytes) => decompressZstd(input, new Uint8Array(bytes)) };

/** The leaves of a schema, which stands as a list of nodes, each followed by those below it. */
function leavesOf(schema: readonly SchemaElement[]): ParquetColumn[] {
  const leaves: ParquetColumn[] = [];
  let at = 1;
  const walk = (count: number, path: readonly string[], repeated: boolean): void => {
    for (let i = 0; i < count && at < schema.length; i++) {
      const { name, type, num_children = 0, repetition_type } = schema[at++];
      const several = repeated || repetition_type === "REPEATED";
      if (num_children > 0) walk(num_children, [...path, name], several);
      else if (type !== undefined) leaves.push({ path: [...path, name], type, repeated: several });
    }
  };
  walk(schema[0]?.num_children ?? 0, [], false);
  return leaves;
}

/** A schema of some of the leaves alone. */
function prunedSchema(schema: readonly SchemaElement[], wanted: ReadonlySet<string>): SchemaElement[] {
  let at = 1;
  const walk = (count: number, path: readonly string[]): SchemaElement[][] => {
    const kept: SchemaElement[][] = [];
    for (let i = 0; i < count; i++) {
      const element = schema[at++];
      const name = [...path, element.name];
      if (!element.num_children) {
        if (wanted.has(name.join("\0"))) kept.push([element]);
        continue;
      }
      const inner = walk(element.num_children, name);
      if (inner.length > 0) kept.push([{ ...element, num_children: inner.length }, ...inner.flat()]);
    }
    return kept;
  };
  const kept = walk(schema[0].num_children ?? 0, []);
  return [{ ...schema[0], num_children: kept.length }, ...kept.flat()];
}

export class ParquetFile {
  readonly path: string;
  readonly bytes: number;
  readonly columns: readonly ParquetColumn[];
  /** Rows of each group. */
  readonly groups: readonly number[];
  readonly #file: FileHandle;
  readonly #metadata: FileMetaData;

  private constructor(path: string, file: FileHandle, bytes: number, metadata: FileMetaData) {
    this.path = path;
    this.bytes = bytes;
    this.#file = file;
    this.#metadata = metadata;
    this.columns = leavesOf(metadata.schema);
    this.groups = metadata.row_groups.map(({ num_rows }) => Number(num_rows));
    const wrong = this.groups.findIndex((rows) => !(rows >= 0 && rows <= MAX_GROUP_ROWS));
    if (wrong >= 0) {
      throw invalid(
        path,
        `row group ${wrong} has ${this.groups[wrong]} rows; the limit is ${MAX_GROUP_ROWS}: ${rewrite}`,
      );
    }
  }

  /** @throws DATA_INVALID, STORAGE_FAILED */
  static async open(path: string): Promise<ParquetFile> {
    const facts = await stat(path).catch((error: NodeJS.ErrnoException) => {
      throw new BitswarmError("DATA_MISSING", `${path} cannot be read (${error.code}): put it back, and try again`);
    });
    const file = await open(path, "r").catch((error) => {
      throw storageError(error, path, undefined, "read");
    });
    try {
      const footer = await readFooter(path, file, facts.size);
      return new ParquetFile(path, file, facts.size, footer);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** A text that the writer put beside the schema. */
  text(key: string): string | undefined {
    return this.#metadata.key_value_metadata?.find((one) => one.key === key)?.value;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #slice(from: number, to: number): Promise<ArrayBuffer> {
    const bytes = new Uint8Array(Math.max(0, to - from));
    try {
      for (let filled = 0; filled < bytes.length; ) {
        const { bytesRead } = await this.#file.read(bytes, filled, bytes.length - filled, from + filled);
        if (bytesRead === 0) throw this.#damaged(`ends at byte ${from + filled}`);
        filled += bytesRead;
      }
    } catch (error) {
      throw storageError(error, this.path, undefined, "read");
    }
    return bytes.buffer;
  }

  #damaged(what: string, cause?: unknown): BitswarmError {
    return invalid(this.path, `${what}: the file is damaged or cut off; get it again`, cause);
  }

  /** What a column of a group claims. @returns its bytes unpacked */
  async #check(meta: ColumnMetaData, group: number, rows: number): Promise<number> {
    const where = `row group ${group}, column ${printable(meta.path_in_schema.join("."))}`;
    const begin = Number(meta.dictionary_page_offset || meta.data_page_offset);
    const end = begin + Number(meta.total_compressed_size);
    if (!(begin >= 4 && end >= begin && end <= this.bytes - 8)) {
      throw this.#damaged(`${where} lies in bytes ${begin} to ${end}, and the file has ${this.bytes}`);
    }
    let values = 0;
    let unpacked = 0;
    for (let at = begin; at < end && values < rows; ) {
      const { header, length } = await this.#pageHeader(at, end, where);
      const { compressed_page_size: packed, uncompressed_page_size: plain } = header;
      const count = (header.data_page_header ?? header.data_page_header_v2 ?? header.dictionary_page_header)
        ?.num_values;
      if (packed === undefined || plain === undefined || count === undefined) {
        throw this.#damaged(`${where}: what lies at byte ${at} is no header of a page`);
      }
      at += length + packed;
      unpacked += plain;
      if (!(packed >= 0 && plain >= 0 && at <= end) || count < 0 || count > rows) {
        throw this.#damaged(
          `${where}: the page before byte ${at} claims ${packed} bytes and ${count} values of ${rows} rows`,
        );
      }
      if (unpacked > MAX_GROUP_BYTES) return unpacked;
      if (header.type !== "DICTIONARY_PAGE") values += count;
    }
    if (values !== rows) throw this.#damaged(`${where} has ${values} values, and ${rows} rows`);
    return unpacked;
  }

  async #pageHeader(at: number, end: number, where: string) {
    for (let bytes = HEADER_BYTES; ; bytes = MAX_PAGE_HEADER_BYTES) {
      const view = new DataView(await this.#slice(at, Math.min(end, at + bytes)));
      const stop = ThriftBounds.end(new Uint8Array(view.buffer));
      if (typeof stop === "number") {
        const reader = { view, offset: 0 };
        return { header: parquetHeader(reader), length: reader.offset };
      }
      if (bytes === MAX_PAGE_HEADER_BYTES || at + bytes >= end) {
        const why = stop === "short" ? "it does not end" : stop;
        throw this.#damaged(`${where}: there is no header of a page at byte ${at} (${why})`);
      }
    }
  }

  /**
   * The rows of a group, of each the columns that are asked for. Values may lie in memory that rows share.
   * @throws DATA_INVALID naming file, row group and column
   */
  async read(group: number, columns: readonly ParquetColumn[]): Promise<ParquetRow[]> {
    const rows = this.groups[group];
    if (rows === 0) return [];
    const wanted = new Set(columns.map(({ path }) => path.join("\0")));
    const rowGroup = this.#metadata.row_groups[group];
    const chosen = rowGroup.columns.filter(({ meta_data }) => wanted.has(meta_data?.path_in_schema.join("\0") ?? ""));
    if (chosen.length !== wanted.size || chosen.some(({ file_path }) => file_path !== undefined)) {
      throw this.#damaged(`row group ${group} lacks a column`);
    }
    try {
      let unpacked = 0;
      for (const { meta_data } of chosen) unpacked += await this.#check(meta_data as ColumnMetaData, group, rows);
      if (unpacked > MAX_GROUP_BYTES) {
        throw invalid(
          this.path,
          `row group ${group} unpacks to more than ${MAX_GROUP_BYTES} bytes, the limit of what is held in memory: ${rewrite}`,
        );
      }
      const file: AsyncBuffer = {
        byteLength: this.bytes,
        slice: (from, to) => this.#slice(from, to ?? this.bytes),
      };
      const read = await parquetReadObjects({
        file,
        metadata: this.#only(rowGroup, chosen, wanted),
        utf8: false,
        compressors: bounded,
      });
      if (read.length !== rows) throw this.#damaged(`row group ${group} has ${read.length} rows, and claims ${rows}`);
      return read;
    } catch (error) {
      if (error instanceof BitswarmError) throw error;
      throw this.#damaged(`row group ${group}: ${printable((error as Error).message)}`, error);
    }
  }

  #only(group: RowGroup, columns: RowGroup["columns"], wanted: ReadonlySet<string>): FileMetaData {
    const { schema } = this.#metadata;
    return {
      ...this.#metadata,
      schema: prunedSchema(schema, wanted),
      num_rows: group.num_rows,
      row_groups: [{ ...group, columns }],
    };
  }
}

function invalid(path: string, what: string, cause?: unknown): BitswarmError {
  return new BitswarmError("DATA_INVALID", `${path}: ${what}`, { cause });
}

async function readFooter(path: string, file: FileHandle, bytes: number): Promise<FileMetaData> {
  const head = Buffer.alloc(4);
  const tail = Buffer.alloc(8);
  if (bytes >= 12) {
    await file.read(head, 0, 4, 0);
    await file.read(tail, 0, 8, bytes - 8);
  }
  if (head.toString("latin1") !== MAGIC)
    throw invalid(path, `has ${bytes} bytes and does not begin with ${MAGIC}: it is no Parquet file; get it again`);
  if (tail.toString("latin1", 4) !== MAGIC) {
    throw invalid(path, `does not end with ${MAGIC} at byte ${bytes - 4}: the file is cut off; get it again`);
  }
  const length = tail.readUInt32LE(0);
  if (length > MAX_FOOTER_BYTES || length > bytes - 12) {
    throw invalid(
      path,
      `has a footer of ${length} bytes, of ${bytes} in all; the limit is ${MAX_FOOTER_BYTES}: get it again`,
    );
  }
  const footer = new Uint8Array(length + 8);
  await file.read(footer, 0, footer.length, bytes - footer.length);
  const end = ThriftBounds.end(footer.subarray(0, length));
  if (typeof end !== "number") throw invalid(path, `its footer of ${length} bytes is damaged (${end}); get it again`);
  try {
    return parquetMetadata(footer, { geoparquet: false });
  } catch (cause) {
    throw invalid(
      path,
      `its footer of ${length} bytes is damaged (${printable((cause as Error).message)}); get it again`,
      cause,
    );
  }
}
