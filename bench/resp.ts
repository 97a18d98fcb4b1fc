/**
 * How fast the client port is without a log, a disk or a network: nanoseconds per request and per reply, in one
 * process. `node bench/resp.ts`; `node bench/resp.ts serve [port]` serves the port over a store that answers in the
 * next turn of the event loop, for a load generator.
 */
import { pino } from 'pino';
import { ClientPort } from '../src/server/client-port.ts';
import { catalogue } from '../src/server/table.ts';
import { Users } from '../src/server/users.ts';
import { RequestParser } from '../src/server/resp/parser.ts';
import { RespWriter } from '../src/server/resp/writer.ts';
import { FakeEngine } from '../src/server/testing/engine.ts';
import { resolve } from '../src/server/table.ts';

const OPERATIONS = 2_000_000;
const CHUNK_BYTES = 64 * 1024;
const WRITES_PER_TURN = 100;
/** The best of so many runs counts: the first ones compile. */
const RUNS = 4;

/** A request as an array of bulk strings. */
function encode(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;
}

function measure(name: string, operations: number, run: () => void): void {
  let best = Infinity;
  for (let at = 0; at < RUNS; at += 1) {
    const start = process.hrtime.bigint();
    run();
    best = Math.min(best, Number(process.hrtime.bigint() - start) / operations);
  }
  console.log(`${name.padEnd(44)} ${best.toFixed(0).padStart(5)} ns`);
}

function measureParser(name: string, words: (number: number) => readonly string[]): void {
  const requests: string[] = [];
  for (let bytes = 0; bytes < CHUNK_BYTES; bytes += requests.at(-1)?.length ?? 0)
    requests.push(encode(words(requests.length)));
  const chunk = Buffer.from(requests.join(''), 'latin1').subarray(0, CHUNK_BYTES);
  const parser = new RequestParser(Infinity);
  const rounds = Math.ceil(OPERATIONS / requests.length);
  // The chunk ends within a request, as chunks do; the rest of it starts the next one.
  const rest = Buffer.from(requests.join(''), 'latin1').subarray(CHUNK_BYTES);
  measure(`parse ${name}`, rounds * requests.length, () => {
    for (let round = 0; round < rounds; round += 1) {
      parser.push(chunk);
      while (parser.next() !== null);
      parser.push(rest);
      while (parser.next() !== null);
    }
  });
  measure(`parse and look up ${name}`, rounds * requests.length, () => {
    for (let round = 0; round < rounds; round += 1) {
      parser.push(chunk);
      for (let args = parser.next(); args !== null; args = parser.next()) resolve(args);
      parser.push(rest);
      for (let args = parser.next(); args !== null; args = parser.next()) resolve(args);
    }
  });
}

function measureWriter(name: string, write: (writer: RespWriter) => void): void {
  const writer = new RespWriter();
  measure(`write ${name}`, OPERATIONS, () => {
    for (let at = 0; at < OPERATIONS; at += 1) {
      write(writer);
      if (at % WRITES_PER_TURN === 0) writer.take();
    }
  });
}

async function serve(port: number): Promise<void> {
  const engine = new FakeEngine();
  const clients = new ClientPort({
    engine,
    host: '127.0.0.1',
    port,
    users: new Users(null, catalogue),
    maxClients: 1_000,
    maxRequestBytes: CHUNK_BYTES * 1024,
    followerReads: false,
    forwarder: { submit: () => {} },
    proxy: false,
    logger: pino(),
  });
  // Nobody looks at what was taken; kept, it would grow for ever.
  setInterval(() => engine.taken.splice(0), 10);
  console.log(await clients.listen());
}

if (process.argv[2] === 'serve') await serve(Number(process.argv[3] ?? 6390));
else {
  const value = Buffer.from('x'.repeat(100)).latin1Slice();
  measureParser('SET key, 100 bytes', (number) => ['SET', `key:${number}`, value]);
  measureParser('GET key', (number) => ['GET', `key:${number}`]);
  measureWriter('+OK', (writer) => writer.ok());
  measureWriter('bulk of 3 bytes', (writer) => writer.bulk('abc'));
  measureWriter('bulk of 100 bytes', (writer) => writer.bulk(value));
  measureWriter('integer below 1000', (writer) => writer.integer(123));
  measureWriter('integer of 7 digits', (writer) => writer.integer(1_234_567));
}
