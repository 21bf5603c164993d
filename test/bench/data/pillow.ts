// Pillow, where a Python that has it is found: does the same work in a process of its own, a turn at a time.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";

export interface PillowTurn {
  /** Of a core and by the clock, for all pictures. */
  readonly cpuMs: number;
  readonly ms: number;
  /** SHA-256 of all that was seen, one picture after another. */
  readonly sha256: string;
}

export interface Pillow {
  readonly version: string;
  turn(): Promise<PillowTurn>;
  end(): void;
}

/** A crop of one picture, resized and perhaps mirrored. */
export interface PillowCrop {
  /** Base64 of a JPEG. */
  readonly jpeg: string;
  readonly box: readonly [left: number, top: number, right: number, bottom: number];
  readonly flip: boolean;
}

const SCRIPT = `
import sys, json, io, time, base64, hashlib
from PIL import Image
size, crops = json.loads(sys.stdin.readline())
crops = [(base64.b64decode(c["jpeg"]), c["box"], c["flip"]) for c in crops]
print(json.dumps("ready"), flush=True)
for _ in sys.stdin:
    seen, cpu, wall = [], time.process_time(), time.perf_counter()
    for jpeg, box, flip in crops:
        out = Image.open(io.BytesIO(jpeg)).convert("RGB").crop(box).resize((size, size), Image.BILINEAR)
        seen.append((out.transpose(Image.FLIP_LEFT_RIGHT) if flip else out).tobytes())
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(json.dumps({"cpuMs": cpu * 1e3, "ms": wall * 1e3, "sha256": hashlib.sha256(b"".join(seen)).hexdigest()}), flush=True)
`;
const PYTHONS = ["python3", "/usr/bin/python3", "python"];

function pythonWithPillow(): { readonly python: string; readonly version: string } | undefined {
  const facts = "import PIL; from PIL import features as f; print(f'Pillow {PIL.__version__}', f.version('jpg'))";
  for (const python of PYTHONS) {
    const { status, stdout } = spawnSync(python, ["-c", facts], { encoding: "utf8" });
    if (status === 0) return { python, version: stdout.trim() };
  }
  return undefined;
}

async function answerOf(lines: AsyncIterator<string>, child: ChildProcess): Promise<unknown> {
  const { value, done } = await lines.next();
  if (done) throw new Error(`Python ended with code ${child.exitCode}`);
  return JSON.parse(value);
}

/** @param size side of what is seen. @returns undefined where there is none */
export async function startPillow(size: number, crops: readonly PillowCrop[]): Promise<Pillow | undefined> {
  const found = pythonWithPillow();
  if (found === undefined) return undefined;
  const child = spawn(found.python, ["-c", SCRIPT], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  child.stdin.write(`${JSON.stringify([size, crops])}\n`);
  await answerOf(lines, child);
  return {
    version: found.version,
    async turn() {
      child.stdin.write("\n");
      return (await answerOf(lines, child)) as PillowTurn;
    },
    end: () => child.stdin.end(),
  };
}
