// What is used here of WebAssembly, whose types come only with those of the DOM or of Node.

export interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

export type HostFunction = (...parameters: number[]) => unknown;
type Imports = Readonly<Record<string, Readonly<Record<string, HostFunction | Memory>>>>;

interface WebAssemblyInterface {
  compile(bytes: ArrayBuffer | ArrayBufferView): Promise<object>;
  validate(bytes: ArrayBuffer | ArrayBufferView): boolean;
  readonly Module: {
    new (bytes: ArrayBuffer | ArrayBufferView): object;
    imports(module: object): { readonly module: string; readonly name: string }[];
  };
  readonly Instance: new (module: object, imports: Imports) => { readonly exports: unknown };
  readonly RuntimeError: new () => Error;
}

export const wasm = (globalThis as unknown as { readonly WebAssembly: WebAssemblyInterface }).WebAssembly;
