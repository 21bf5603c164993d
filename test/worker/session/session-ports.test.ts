// A session, and the content that it fetches, reach the world through their ports alone: else the simulation would not
// play what workers run.
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const folders = ["session", "content"].map((name) => new URL(`../../../worker/${name}/`, import.meta.url));
const outside =
  /\b(?:setTimeout|setInterval|performance|Date|Math\.random|WebSocket\(|globalThis|indexedDB|caches|Deno)\b|[^.\w#]fetch\(/;

test("W11 no file of the session but that of the key pair takes time, chance, sockets or HTTP from the runtime", () => {
  const reaching = folders.flatMap((folder) =>
    readdirSync(folder).filter((file) => {
      if (!file.endsWith(".ts")) return false;
      const code = readFileSync(new URL(file, folder), "utf8").replace(/\/\/.*|\/\*[\s\S]*?\*\//g, "");
      return outside.test(code);
    }),
  );
  // WebCrypto keeps private keys to itself; whoever starts a session may give it an identity instead.
  expect(reaching).toEqual(["identity.ts"]);
});
