// Small Parquet files of pictures with labels, plain and not packed, as tests need them; format of
// parquet.apache.org/docs/file-format.

type Thrift =
  | { readonly i32: number }
  | { readonly i64: number }
  | string
  | Uint8Array
  | readonly Thrift[]
  | ThriftStruct;
interface ThriftStruct {
  readonly fields: Readonly<Record<number, Thrift>>;
}

export interface ParquetRowBytes {
  readonly content: Uint8Array;
  readonly path: string | null;
  readonly label: number;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  return [...bytes, rest];
}

const zigzag = (value: number) => varint(value < 0 ? -2 * value - 1 : 2 * value);

function kindOf(value: Thrift): number {
  if (typeof value === "string" || value instanceof Uint8Array) return 8;
  if (Array.isArray(value)) return 9;
  if ("i32" in value) return 5;
  return "i64" in value ? 6 : 12;
}

function compact(value: Thrift): number[] {
  if (typeof value === "string") return compact(Buffer.from(value));
  if (value instanceof Uint8Array) return [...varint(value.length), ...value];
  if (Array.isArray(value)) {
    const kind = value.length > 0 ? kindOf(value[0]) : 12;
    const head = value.length < 15 ? [(value.length << 4) | kind] : [0xf0 | kind, ...varint(value.length)];
    return [...head, ...value.flatMap(compact)];
  }
  if ("i32" in value) return zigzag(value.i32);
  if ("i64" in value) return zigzag(value.i64);
  const { fields } = value as ThriftStruct;
  let last = 0;
  const parts: number[][] = [];
  for (const [id, field] of Object.entries(fields)) {
    parts.push([((Number(id) - last) << 4) | kindOf(field)], compact(field));
    last = Number(id);
  }
  return [...parts.flat(), 0];
}

const i32 = (value: number): Thrift => ({ i32: value });
const i64 = (value: number): Thrift => ({ i64: value });
const struct = (fields: ThriftStruct["fields"]): Thrift => ({ fields });

function plainBytes(values: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    values.flatMap((value) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(value.length);
      return [length, value];
    }),
  );
}

function plainLongs(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length);
  for (const [i, value] of values.entries()) bytes.writeBigInt64LE(BigInt(value), 8 * i);
  return bytes;
}

/** Definition levels of one bit width: runs of one value each. */
function levels(values: readonly number[]): Buffer {
  const runs = Buffer.from(values.flatMap((value) => [...varint(2), value]));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(runs.length);
  return Buffer.concat([length, runs]);
}

export interface ParquetOptions {
  readonly names?: readonly string[];
  readonly groupRows?: number;
  readonly labelColumn?: string;
  /** Values that pages claim, in place of those that are there. */
  readonly claims?: number;
  /** Bytes that the page of pictures' paths claims to unpack to. */
  readonly claimedBytes?: number;
  readonly claimedRows?: number;
  /** Of statistics in the headers of the paths' pages. */
  readonly headerBytes?: number;
}

/** image struct<bytes, path>, label int64. */
export function parquetOf(rows: readonly ParquetRowBytes[], options: ParquetOptions = {}): Buffer {
  const {
    names,
    groupRows = rows.length,
    labelColumn = "label",
    claims,
    claimedBytes,
    claimedRows,
    headerBytes,
  } = options;
  const parts: Buffer[] = [Buffer.from("PAR1")];
  let at = 4;
  const groups: Thrift[] = [];
  for (let first = 0; first < rows.length; first += groupRows) {
    const some = rows.slice(first, first + groupRows);
    const paths = some.map(({ path }) => path);
    const columns = [
      {
        path: ["image", "bytes"],
        type: 6,
        levels: some.map(() => 2),
        body: plainBytes(some.map(({ content }) => content)),
      },
      {
        path: ["image", "path"],
        type: 6,
        levels: paths.map((path) => (path === null ? 1 : 2)),
        body: plainBytes(paths.flatMap((path) => (path === null ? [] : [Buffer.from(path)]))),
      },
      { path: [labelColumn], type: 2, levels: some.map(() => 1), body: plainLongs(some.map(({ label }) => label)) },
    ].map(({ path, type, levels: definition, body }) => {
      const page = Buffer.concat([levels(definition), body]);
      const header = { 1: i32(claims ?? some.length), 2: i32(0), 3: i32(3), 4: i32(3) };
      const statistics: ThriftStruct["fields"] =
        headerBytes === undefined || path[1] !== "path" ? {} : { 5: struct({ 1: new Uint8Array(headerBytes) }) };
      const head = Buffer.from(
        compact(
          struct({
            1: i32(0),
            2: i32(claimedBytes ?? page.length),
            3: i32(page.length),
            5: struct({ ...header, ...statistics }),
          }),
        ),
      );
      const begin = at;
      parts.push(head, page);
      at += head.length + page.length;
      return struct({
        2: i64(begin),
        3: struct({
          1: i32(type),
          2: [i32(0), i32(3)],
          3: path,
          4: i32(0),
          5: i64(some.length),
          6: i64(at - begin),
          7: i64(at - begin),
          9: i64(begin),
        }),
      });
    });
    groups.push(struct({ 1: columns, 2: i64(0), 3: i64(claimedRows ?? some.length) }));
  }
  const schema = [
    struct({ 4: "schema", 5: i32(2) }),
    struct({ 3: i32(1), 4: "image", 5: i32(2) }),
    struct({ 1: i32(6), 3: i32(1), 4: "bytes" }),
    struct({ 1: i32(6), 3: i32(1), 4: "path", 6: i32(0) }),
    struct({ 1: i32(2), 3: i32(1), 4: labelColumn }),
  ];
  const label = names ? { names, _type: "ClassLabel" } : { dtype: "int64", _type: "Value" };
  const features = JSON.stringify({ info: { features: { image: { _type: "Image" }, [labelColumn]: label } } });
  const footer = Buffer.from(
    compact(
      struct({ 1: i32(2), 2: schema, 3: i64(rows.length), 4: groups, 5: [struct({ 1: "huggingface", 2: features })] }),
    ),
  );
  const length = Buffer.alloc(4);
  length.writeUInt32LE(footer.length);
  return Buffer.concat([...parts, footer, length, Buffer.from("PAR1")]);
}
