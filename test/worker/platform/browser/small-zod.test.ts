// What the page's build puts in zod's place takes and refuses what zod does, in every schema that a worker reads with.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as zod from "zod";
import { smallSchemas } from "#page-scripts";
import { rng } from "../../../../shared/base/rng.ts";
import { runConfigSchema } from "../../../../shared/run/config.ts";
import { coordinatorMessageSchema, workerMessageSchema } from "../../../../shared/wire/protocol.ts";
import { tuningTableSchema } from "../../../../worker/tuning/tuning-table.ts";
import { instanceOf, type JsonSchema } from "../../../fuzz/instance.ts";
import { distorted } from "../../../fuzz/mutate.ts";

interface Schema {
  safeParse(value: unknown): {
    readonly success: boolean;
    readonly data?: unknown;
    readonly error?: { readonly issues: readonly { readonly message: string }[] };
  };
}

const exact: Readonly<Record<string, zod.ZodType>> = {
  "messages of the coordinator": coordinatorMessageSchema,
  "messages of a worker": workerMessageSchema,
  configurations: runConfigSchema(),
  "tables of tilings": tuningTableSchema,
};
const entry = `
  import { runConfigSchema } from "./shared/run/config.ts";
  import { coordinatorMessageSchema, workerMessageSchema } from "./shared/wire/protocol.ts";
  import { tuningTableSchema } from "./worker/tuning/tuning-table.ts";
  export default {
    "messages of the coordinator": coordinatorMessageSchema,
    "messages of a worker": workerMessageSchema,
    configurations: runConfigSchema(),
    "tables of tilings": tuningTableSchema,
  };
`;

let folder = "";
/** The same, as the page's build has them. */
let small: Readonly<Record<string, Schema>> = {};
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "bitswarm-schemas-"));
  const id = resolve("schemas-of-the-page.ts");
  const built = await build({
    configFile: false,
    logLevel: "error",
    plugins: [
      smallSchemas(),
      {
        name: "entry",
        resolveId: (name) => (name === id ? id : undefined),
        load: (name) => (name === id ? entry : null),
      },
    ],
    build: { write: false, target: "esnext", minify: false, lib: { entry: id, formats: ["es"], fileName: "schemas" } },
  });
  const [output] = [built].flat();
  if (!("output" in output)) throw new Error("the build watches in place of ending");
  const file = join(folder, "schemas.mjs");
  await writeFile(file, output.output[0].code);
  small = ((await import(pathToFileURL(file).href)) as { readonly default: typeof small }).default;
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test.each(["messages of the coordinator", "messages of a worker", "configurations", "tables of tilings"])(
  "%s are taken, completed and refused alike, as they should be and distorted",
  (name) => {
    expect(small[name]).not.toHaveProperty("toJSONSchema");
    const json = zod.toJSONSchema(exact[name], { io: "input", unrepresentable: "any" }) as JsonSchema;
    const options = json.oneOf ?? [json];
    let taken = 0;
    for (let i = 0; i < 1200; i++) {
      const draws = rng("values", name, i);
      const good = instanceOf(options[i % options.length], draws);
      const value = i % 3 === 0 ? good : distorted(good, draws);
      const wanted = exact[name].safeParse(value);
      const got = small[name].safeParse(value);
      expect([got.success, got.data], JSON.stringify(value)).toEqual([wanted.success, wanted.data]);
      if (wanted.success) taken++;
    }
    expect(taken).toBeGreaterThan(100);
    expect(small[name].safeParse({}).success).toBe(exact[name].safeParse({}).success);
  },
);

test("a schema's own words are told", () => {
  const said = (value: unknown) => small.configurations.safeParse(value).error?.issues.map(({ message }) => message);
  expect(said({ method: { kind: "none" } })).toEqual([expect.stringContaining("must be one of rbcn")]);
  expect(said({ description: "\u0007" })).toEqual(["must be plain text"]);
});
