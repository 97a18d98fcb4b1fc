/**
 * Makes a WebAssembly module count its steps and gives its arithmetic one result on every machine.
 *
 * **Steps.** A global, exported as `fuel`, goes down at every turn of every loop and at every call of a function; the
 * turn after it has fallen below zero ends in a trap. So whatever the module does, be it the interpreter's own loop or the
 * comparison of two long strings inside one instruction of it, ends after the same number of steps on every node. No
 * timer is asked, and nothing inside the module can catch a trap. The price was measured at about a tenth.
 *
 * A turn costs more the longer the loop's body is, between 1 and {@link TURN_COST_MAX}: a step is then about a
 * nanosecond, in a loop over bytes as in the one over instructions.
 *
 * **NaN.** WebAssembly leaves open which NaN an operation without a result yields: x86 answers `-nan`, ARM `nan`, and
 * Lua prints the difference. Every operation that may yield one is followed by a choice of x86's.
 *
 * Only what compilers make of C is understood. Anything else is an error, never an unmetered module.
 */
import { ByteWriter } from '../bytes.ts';

const TURN_COST_MAX = 8;
/** So many instructions of a loop's body cost 1. */
const INSTRUCTIONS_PER_COST = 8;
const CALL_COST = 1;

const SECTION = { custom: 0, type: 1, import: 2, function: 3, global: 6, export: 7, code: 10 } as const;
const OP = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  end: 0x0b,
  select: 0x1b,
  localGet: 0x20,
  localSet: 0x21,
  globalGet: 0x23,
  globalSet: 0x24,
  i32Const: 0x41,
  f64Const: 0x44,
  i32LtS: 0x48,
  f64Ne: 0x62,
  i32Sub: 0x6b,
} as const;
const TYPE = { i32: 0x7f, f64: 0x7c, empty: 0x40 } as const;
const EXPORT_GLOBAL = 3;
const IMPORT_FUNCTION = 0;
/** The NaN with a sign and nothing else, as x86 makes it. */
const NAN_BYTES = [0, 0, 0, 0, 0, 0, 0xf8, 0xff];

/** Operations with a result of 64 bits that may be a NaN which none of the arguments was. */
function mayMakeNan(opcode: number): boolean {
  // ceil, floor, trunc, nearest, sqrt, add, sub, mul, div, min, max; a float of 32 bits made longer.
  return (opcode >= 0x9b && opcode <= 0xa5) || opcode === 0xbb;
}

class Reader {
  readonly bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.bytes = bytes;
    this.at = at;
  }

  byte(): number {
    const value = this.bytes[this.at++];
    if (value === undefined) throw new Error('a WebAssembly module that ends too early');
    return value;
  }

  unsigned(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  skipNumber(): void {
    while (this.byte() >= 0x80);
  }

  skipString(): void {
    const length = this.unsigned();
    this.at += length;
  }

  skipLimits(): void {
    const flags = this.byte();
    this.skipNumber();
    if ((flags & 1) !== 0) this.skipNumber();
  }
}

/** What is known of the module before its code is read. */
interface Facts {
  /** How many parameters the functions of each type have. */
  readonly parameters: number[];
  /** The type of each function that the module defines. */
  readonly functions: number[];
  globals: number;
}

/** The module with counted steps and one kind of NaN. */
export function metered(module: Uint8Array): Uint8Array<ArrayBuffer> {
  const facts: Facts = { parameters: [], functions: [], globals: 0 };
  const writer = new ByteWriter(module.length * 2);
  writer.bytes(module.subarray(0, 8));
  const reader = new Reader(module, 8);
  while (reader.at < module.length) {
    const id = reader.byte();
    const length = reader.unsigned();
    const end = reader.at + length;
    const section = new ByteWriter(length * 2 + 64);
    if (id !== SECTION.custom) {
      writeSection(id, reader, end, facts, section);
      writer.byte(id);
      writer.varint(section.length);
      writer.bytes(section.view());
    }
    reader.at = end;
  }
  return Uint8Array.from(writer.view());
}

function writeSection(id: number, reader: Reader, end: number, facts: Facts, section: ByteWriter): void {
  const start = reader.at;
  const count = id === SECTION.custom ? 0 : reader.unsigned();
  const content = reader.at;
  switch (id) {
    case SECTION.type:
      for (let left = count; left > 0; left--) facts.parameters.push(readType(reader));
      break;
    case SECTION.import:
      for (let left = count; left > 0; left--) readImport(reader);
      break;
    case SECTION.function:
      for (let left = count; left > 0; left--) facts.functions.push(reader.unsigned());
      break;
    case SECTION.global:
      facts.globals = count;
      section.varint(count + 1);
      section.bytes(reader.bytes.subarray(content, end));
      for (const byte of [TYPE.i32, 1, OP.i32Const, 0, OP.end]) section.byte(byte);
      return;
    case SECTION.export:
      section.varint(count + 1);
      section.bytes(reader.bytes.subarray(content, end));
      section.string('fuel');
      section.byte(EXPORT_GLOBAL);
      section.varint(facts.globals);
      return;
    case SECTION.code:
      section.varint(count);
      for (let at = 0; at < count; at++)
        writeFunction(reader, facts.parameters[facts.functions[at] ?? -1] ?? 0, facts.globals, section);
      return;
    default:
  }
  section.bytes(reader.bytes.subarray(start, end));
}

/** The number of parameters of a type. */
function readType(reader: Reader): number {
  if (reader.byte() !== 0x60) throw new Error('a WebAssembly type that is no function');
  const parameters = reader.unsigned();
  reader.at += parameters;
  reader.skipString();
  return parameters;
}

function readImport(reader: Reader): void {
  reader.skipString();
  reader.skipString();
  const kind = reader.byte();
  // An imported global would move the numbers of the module's own.
  if (kind !== IMPORT_FUNCTION) throw new Error(`a WebAssembly import of kind ${kind}, not a function`);
  reader.skipNumber();
}

/** A place in a function's code where something is put in. */
interface Insertion {
  /** Behind the instruction that ends here. */
  readonly at: number;
  /** The cost of a turn of the loop that begins there; 0 for a NaN. */
  cost: number;
}

function writeFunction(reader: Reader, parameters: number, fuel: number, section: ByteWriter): void {
  const end = reader.unsigned() + reader.at;
  const groups = reader.unsigned();
  const groupsAt = reader.at;
  let locals = parameters;
  for (let left = groups; left > 0; left--) {
    locals += reader.unsigned();
    reader.byte();
  }
  const codeAt = reader.at;
  const insertions = insertionsOf(reader, end);
  const body = new ByteWriter(2 * (end - groupsAt) + 64);
  // One more local, of type f64, to look at a result with.
  body.varint(groups + 1);
  body.bytes(reader.bytes.subarray(groupsAt, codeAt));
  body.byte(1);
  body.byte(TYPE.f64);
  writeCharge(body, fuel, CALL_COST);
  let done = codeAt;
  for (const { at, cost } of insertions) {
    body.bytes(reader.bytes.subarray(done, at));
    done = at;
    if (cost > 0) writeTurn(body, fuel, cost);
    else writeNan(body, locals);
  }
  body.bytes(reader.bytes.subarray(done, end));
  section.varint(body.length);
  section.bytes(body.view());
  reader.at = end;
}

/** Reads a function's code to its end. */
function insertionsOf(reader: Reader, end: number): Insertion[] {
  const insertions: Insertion[] = [];
  /** For each block that is open the loop around it, and the number of instructions seen in that loop. */
  const open: (LoopBody | null)[] = [null];
  while (reader.at < end) {
    const opcode = reader.byte();
    const loop = open.at(-1) ?? null;
    if (loop !== null) loop.instructions++;
    skipImmediates(reader, opcode);
    if (opcode === OP.loop) {
      const insertion: Insertion = { at: reader.at, cost: 1 };
      insertions.push(insertion);
      open.push({ insertion, instructions: 0 });
    } else if (opcode === OP.block || opcode === OP.if) open.push(loop);
    else if (opcode === OP.end) {
      open.pop();
      // What an inner loop costs is charged there; the outer one pays for its own instructions.
      if (loop !== null && open.at(-1) !== loop)
        loop.insertion.cost = Math.min(
          TURN_COST_MAX,
          1 + Math.floor(loop.instructions / INSTRUCTIONS_PER_COST),
        );
    } else if (mayMakeNan(opcode)) insertions.push({ at: reader.at, cost: 0 });
  }
  return insertions;
}

interface LoopBody {
  readonly insertion: Insertion;
  instructions: number;
}

function skipImmediates(reader: Reader, opcode: number): void {
  if (opcode >= 0x45 && opcode <= 0xc4) return;
  if (opcode >= 0x28 && opcode <= 0x3e) {
    reader.skipNumber();
    reader.skipNumber();
    return;
  }
  switch (opcode) {
    case 0x00: // unreachable
    case 0x01: // nop
    case 0x05: // else
    case OP.end:
    case 0x0f: // return
    case 0x1a: // drop
    case OP.select:
      return;
    case OP.block:
    case OP.loop:
    case OP.if:
    case 0x0c: // br
    case 0x0d: // br_if
    case 0x10: // call
    case OP.localGet:
    case OP.localSet:
    case 0x22: // local.tee
    case OP.globalGet:
    case OP.globalSet:
    case 0x3f: // memory.size
    case 0x40: // memory.grow
    case OP.i32Const:
    case 0x42: // i64.const
      reader.skipNumber();
      return;
    case 0x11: // call_indirect
      reader.skipNumber();
      reader.skipNumber();
      return;
    case 0x0e: // br_table
      for (let left = reader.unsigned(); left >= 0; left--) reader.skipNumber();
      return;
    case 0x43: // f32.const
      reader.at += 4;
      return;
    case OP.f64Const:
      reader.at += 8;
      return;
    default:
      // Among them the ones that copy and fill memory: their cost is not constant.
      throw new Error(`the WebAssembly instruction ${opcode} is not expected`);
  }
}

/** fuel -= cost */
function writeCharge(writer: ByteWriter, fuel: number, cost: number): void {
  writer.byte(OP.globalGet);
  writer.varint(fuel);
  writer.byte(OP.i32Const);
  writer.byte(cost);
  writer.byte(OP.i32Sub);
  writer.byte(OP.globalSet);
  writer.varint(fuel);
}

/** fuel -= cost; if (fuel < 0) trap */
function writeTurn(writer: ByteWriter, fuel: number, cost: number): void {
  writeCharge(writer, fuel, cost);
  writer.byte(OP.globalGet);
  writer.varint(fuel);
  for (const byte of [OP.i32Const, 0, OP.i32LtS, OP.if, TYPE.empty, OP.unreachable, OP.end])
    writer.byte(byte);
}

/** result = result is a NaN ? the NaN : result */
function writeNan(writer: ByteWriter, local: number): void {
  const get = (): void => {
    writer.byte(OP.localGet);
    writer.varint(local);
  };
  writer.byte(OP.localSet);
  writer.varint(local);
  writer.byte(OP.f64Const);
  for (const byte of NAN_BYTES) writer.byte(byte);
  get();
  get();
  get();
  writer.byte(OP.f64Ne);
  writer.byte(OP.select);
}
