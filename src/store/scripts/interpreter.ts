/**
 * The interpreter's code: Lua 5.1.5 as compiled to WebAssembly by the package `wasmoon-lua5.1`, of which nothing else is
 * used. It is part of the program, like the sources: read and prepared once, when the first script is run, and the same on
 * every node, because the package is pinned.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { invariant } from '../invariant.ts';
import { metered } from './metering.ts';
import { wasm, type WasmModule } from './webassembly.ts';

const FILE = 'wasmoon-lua5.1/dist/liblua5.1.wasm';

/**
 * Where `luaS_newlstr` finds out how many bytes of a string go into its hash: `(length >> 5) + 1` is the distance between
 * them. Redis's Lua takes all bytes, so that nobody makes strings that meet in one place, and so `pairs` has another order
 * there; with a shift by 31 the distance is always 1.
 */
const HASH_STEP = [0x20, 0x02, 0x41, 0x05, 0x76, 0x22, 0x05, 0x4b, 0x04, 0x40];
const SHIFT_AT = 3;
const SHIFT = 31;

let module: WasmModule | null = null;

export function interpreter(): WasmModule {
  module ??= new wasm.Module(metered(readCode()));
  return module;
}

function readCode(): Buffer {
  const code = readFileSync(createRequire(import.meta.url).resolve(FILE));
  const at = code.indexOf(Buffer.from(HASH_STEP));
  const again = code.indexOf(Buffer.from(HASH_STEP), at + 1);
  invariant(at !== -1 && again === -1, `${FILE} is another build than expected`);
  code[at + SHIFT_AT] = SHIFT;
  return code;
}
