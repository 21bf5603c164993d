// Digests of the fixtures' pictures in Deno. Arguments: a folder with the pictures and `wanted.json`, the module.

import { imageDigests } from "./digests.ts";

declare const Deno: { readonly args: readonly string[]; readFile(path: string): Promise<Uint8Array> };

const [folder, module] = Deno.args;
const read = (name: string) => Deno.readFile(`${folder}/${name}`);
const wanted = JSON.parse(new TextDecoder().decode(await read("wanted.json")));
console.log(JSON.stringify(await imageDigests(await Deno.readFile(module!), wanted, read)));
