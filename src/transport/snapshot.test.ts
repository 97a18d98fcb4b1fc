import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { crc32 } from 'node:zlib';
import { request } from 'undici';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type SnapshotMeta, asIndex, asNodeId, asTerm } from '../raft/types.ts';
import { PROTOCOL_VERSION } from './identity.ts';
import {
  SNAPSHOT_CHUNK_BYTES_MAX,
  type SnapshotSource,
  SnapshotError,
  encodeSnapshot,
  fetchSnapshot,
  parseSnapshotName,
  snapshotName,
} from './snapshot.ts';
import { type TestNode, Watch, startNode } from './testing/node.ts';

const file = Buffer.alloc(3 * SNAPSHOT_CHUNK_BYTES_MAX + 1000);
for (let at = 0; at < file.length; at += 4) file.writeUInt32LE(at, at);
const snapshot: SnapshotMeta = {
  index: asIndex(42),
  term: asTerm(3),
  configuration: { voters: [], outgoing: [], learners: [], removed: [] },
  configurationIndex: asIndex(1),
  bytes: file.length,
  checksum: crc32(file),
};
const never = new AbortController().signal;

/** A sink that keeps what it gets. */
class Memory {
  bytes: Buffer = Buffer.alloc(0);
  get offset(): number {
    return this.bytes.length;
  }
  async write(chunk: Buffer): Promise<void> {
    this.bytes = Buffer.concat([this.bytes, chunk]);
  }
}

/** Serves the file in pieces of `size`, and notes the offsets asked for. `each` sees each piece before it goes out. */
class FileSource implements SnapshotSource {
  readonly offsets: number[] = [];
  openFiles = 0;
  readonly #size: number;
  readonly #each: (offset: number) => void | Promise<void>;
  constructor(size: number, each: (offset: number) => void | Promise<void> = () => {}) {
    this.#size = size;
    this.#each = each;
  }
  open(index: number, checksum: number, offset: number): AsyncIterable<Uint8Array> | null {
    if (index !== snapshot.index || checksum !== snapshot.checksum) return null;
    this.offsets.push(offset);
    return this.#pieces(offset);
  }
  async *#pieces(offset: number): AsyncGenerator<Uint8Array> {
    this.openFiles += 1;
    try {
      for (let at = offset; at < file.length; at += this.#size) {
        await this.#each(at);
        yield file.subarray(at, at + this.#size);
      }
    } finally {
      this.openFiles -= 1;
      watch.notify();
    }
  }
}

const watch = new Watch();
const nodes: TestNode[] = [];
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
});

/** A receiver and a sender with this source. */
async function pair(snapshots: SnapshotSource): Promise<{ receiver: TestNode; sender: TestNode }> {
  const receiver = await startNode(watch, 'n1');
  const sender = await startNode(watch, 'n2', { snapshots });
  nodes.push(receiver, sender);
  for (const node of nodes) node.transport.setPeers([receiver.member, sender.member], []);
  return { receiver, sender };
}

test('the name of a snapshot tells index and checksum', () => {
  expect(snapshotName({ index: asIndex(42), checksum: 0xab })).toBe('42-000000ab');
  expect(parseSnapshotName('42-000000ab')).toEqual({ index: 42, checksum: 0xab });
  for (const bad of ['', '42', '0-000000ab', '42-ab', '42-000000AB', '42-000000ab/', '../42-000000ab'])
    expect(parseSnapshotName(bad)).toBeNull();
});

test.each([1000, SNAPSHOT_CHUNK_BYTES_MAX, file.length])(
  'a file read in pieces of %i B arrives',
  async (size) => {
    const source = new FileSource(size);
    const { receiver, sender } = await pair(source);
    const sink = new Memory();
    await receiver.transport.fetchSnapshot(sender.id, snapshot, sink, never);
    expect(sink.bytes.equals(file)).toBe(true);
    expect(source.offsets).toEqual([0]);
    await watch.until(() => source.openFiles === 0);
  },
);

test('a transfer goes on where an earlier one ended, and after the last chunk of a broken one', async () => {
  let broken = 0;
  const source = new FileSource(SNAPSHOT_CHUNK_BYTES_MAX, (offset) => {
    if (offset < 2 * SNAPSHOT_CHUNK_BYTES_MAX || broken === 2) return;
    broken += 1;
    throw new Error('the disk of the sender fails');
  });
  const { receiver, sender } = await pair(source);
  const sink = new Memory();
  sink.bytes = file.subarray(0, 1000);
  await receiver.transport.fetchSnapshot(sender.id, snapshot, sink, never);
  expect(sink.bytes.equals(file)).toBe(true);
  expect(source.offsets[0]).toBe(1000);
  expect(source.offsets.length).toBeGreaterThanOrEqual(3);
  expect(source.offsets).toEqual([...source.offsets].sort((a, b) => a - b));
});

test('a complete file is not asked for', async () => {
  const source = new FileSource(1000);
  const { receiver, sender } = await pair(source);
  const sink = new Memory();
  sink.bytes = file;
  await receiver.transport.fetchSnapshot(sender.id, snapshot, sink, never);
  expect(source.offsets).toEqual([]);
});

test('a snapshot that is gone, or a sender that is no member, fails at once', async () => {
  const { receiver, sender } = await pair({ open: () => null });
  const fetched = receiver.transport.fetchSnapshot(sender.id, snapshot, new Memory(), never);
  await expect(fetched).rejects.toThrow(/status 404: the snapshot is no longer there/);
  await expect(fetched).rejects.toThrow(SnapshotError);
  const nobody = receiver.transport.fetchSnapshot(asNodeId('n9'), snapshot, new Memory(), never);
  await expect(nobody).rejects.toThrow(/n9: it is not a member/);
});

test('an error of the sink ends the transfer and closes the file', async () => {
  const source = new FileSource(1000);
  const { receiver, sender } = await pair(source);
  const full = { offset: 0, write: () => Promise.reject(new Error('no space left')) };
  await expect(receiver.transport.fetchSnapshot(sender.id, snapshot, full, never)).rejects.toThrow(
    'no space left',
  );
  expect(source.offsets).toEqual([0]);
  await watch.until(() => source.openFiles === 0);
});

test('an abort ends the transfer and closes the file', async () => {
  const abort = new AbortController();
  const source = new FileSource(1000, async (offset) => {
    if (offset > 0) abort.abort(new Error('no longer wanted'));
  });
  const { receiver, sender } = await pair(source);
  const fetched = receiver.transport.fetchSnapshot(sender.id, snapshot, new Memory(), abort.signal);
  await expect(fetched).rejects.toThrow('no longer wanted');
  await watch.until(() => source.openFiles === 0);
});

test('a second transfer to the same peer ends the first one', async () => {
  const released = Promise.withResolvers<void>();
  const source = new FileSource(1000, (offset) =>
    offset > 0 && source.offsets.length === 1 ? released.promise : undefined,
  );
  const { receiver, sender } = await pair(source);
  const first = await request(`${sender.url}/raft/v1/main/snapshot/${snapshotName(snapshot)}?offset=0`, {
    headers: {
      'x-kvorum-cluster': 'test',
      'x-kvorum-node': receiver.id,
      'x-kvorum-incarnation': '1',
      'x-kvorum-url': receiver.url,
      'x-kvorum-to': sender.id,
      'x-kvorum-version': String(PROTOCOL_VERSION),
    },
  });
  expect(first.statusCode).toBe(200);
  const second = new Memory();
  await receiver.transport.fetchSnapshot(sender.id, snapshot, second, never);
  expect(second.bytes.equals(file)).toBe(true);
  await expect(first.body.arrayBuffer()).rejects.toThrow();
  released.resolve();
  await watch.until(() => source.openFiles === 0);
});

/* ------------------------------------------------------------------------- a sender whose answers are made here */

let server: Server;
let bodies: Buffer[];
let asked: string[];

beforeEach(async () => {
  bodies = [];
  asked = [];
  server = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.end(bodies.shift() ?? Buffer.alloc(0));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(() => {
  server.close();
});

function fetchFromServer(sink: Memory): Promise<void> {
  return fetchSnapshot({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    path: '/s',
    headers: () => ({}),
    silenceMsMax: 5000,
    check: (status) => (status === 200 ? null : { text: `status ${status}`, lasting: false }),
    snapshot,
    sink,
    signal: never,
  });
}

/** The body of an answer for the file from `offset` on. */
async function bodyFrom(offset: number, of: Buffer = file): Promise<Buffer> {
  const source = (async function* () {
    yield of.subarray(offset);
  })();
  const chunks: Buffer[] = [];
  for await (const chunk of encodeSnapshot(source, offset)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test('a damaged chunk is fetched again, alone with what follows it', async () => {
  const damaged = await bodyFrom(0);
  const inSecond = 16 + SNAPSHOT_CHUNK_BYTES_MAX + 16 + 100;
  damaged.writeUInt8(damaged.readUInt8(inSecond) ^ 1, inSecond);
  bodies.push(damaged, await bodyFrom(SNAPSHOT_CHUNK_BYTES_MAX));
  const sink = new Memory();
  await fetchFromServer(sink);
  expect(sink.bytes.equals(file)).toBe(true);
  expect(asked).toEqual(['/s?offset=0', `/s?offset=${SNAPSHOT_CHUNK_BYTES_MAX}`]);
});

test('a chunk of another place, a senseless length and a cut body are not taken', async () => {
  const senseless = Buffer.alloc(100, 0xff);
  bodies.push(await bodyFrom(1000), senseless, (await bodyFrom(0)).subarray(0, 5000), await bodyFrom(0));
  const sink = new Memory();
  await fetchFromServer(sink);
  expect(sink.bytes.equals(file)).toBe(true);
  expect(asked).toEqual(Array.from({ length: 4 }, () => '/s?offset=0'));
});

test('a file of another length is refused', async () => {
  bodies.push(await bodyFrom(0, file.subarray(0, 1000)));
  await expect(fetchFromServer(new Memory())).rejects.toThrow(/another length/);
  bodies.push(await bodyFrom(0, Buffer.concat([file, file])));
  await expect(fetchFromServer(new Memory())).rejects.toThrow(/another length/);
});

test('attempts that bring nothing come to an end, with the last reason', { timeout: 60_000 }, async () => {
  const failed = await fetchFromServer(new Memory()).catch((error: unknown) => error);
  expect(String(failed)).toMatch(/stands at 0 of 787432 B/);
  expect(String((failed as Error).cause)).toMatch(/the answer ended before the file/);
});
