/** What is used of the global `WebAssembly`: neither ES2024's types nor Node's describe it. */

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

export interface WasmGlobal {
  value: number;
}

/** A function that takes and gives numbers; only those that a module exports can be put into a table. */
export type WasmFunction = (...args: number[]) => number;

export interface WasmTable {
  get(index: number): WasmFunction;
  set(index: number, value: WasmFunction): void;
  grow(slots: number): number;
}

export interface WasmModule {
  readonly [Symbol.toStringTag]: string;
}

export type WasmImports = Record<string, Record<string, WasmFunction>>;

interface Wasm {
  readonly Module: {
    new (bytes: Uint8Array): WasmModule;
    imports(module: WasmModule): readonly { readonly module: string; readonly name: string }[];
  };
  readonly Instance: new (
    module: WasmModule,
    imports: WasmImports,
  ) => { readonly exports: Readonly<Record<string, unknown>> };
  /** What a trap throws. */
  readonly RuntimeError: new (
    message: string,
  ) => Error;
}

export const wasm: Wasm = (globalThis as unknown as { readonly WebAssembly: Wasm }).WebAssembly;

/** Bytes of a page of memory. */
export const PAGE_BYTES: number = 64 * 1024;
