import * as fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { BatchEncoder } from './batch.ts';
import { ByteReader } from './bytes.ts';
import type { Call } from './command.ts';
import { KEPT_REPLY_BYTES_MAX, keepsReply, KEYS_MAX, type Once, OnceTable, SESSIONS_MAX } from './once.ts';
import { Store } from './store.ts';
import { dataCommandOf } from './table.ts';
import { call, Recorder, type Reply, restored, snapshotOf } from './testing/harness.ts';

/** A leader that runs named writes, one per entry, and keeps its log. */
class Leader {
  readonly store = new Store();
  readonly payloads: Uint8Array[] = [];
  /** Whether the last reply was kept from the first time. */
  repeated = false;
  readonly #batch = new BatchEncoder();
  #time = 1_000_000;

  /** Runs a command, a write under its name. */
  run(once: Once | null, ...args: string[]): Reply {
    const command = dataCommandOf(args)!;
    const recorder = new Recorder();
    this.repeated = false;
    if (!command.write) this.store.read(command, args, recorder, this.#time);
    else {
      this.#batch.addCommand(args, once);
      this.#entry(() => {
        if (once === null) this.store.execute(command, args, recorder);
        else
          this.repeated = this.store.executeOnce(once, true, recorder, (reply) =>
            this.store.execute(command, args, reply),
          );
      });
    }
    return recorder.replies[0] ?? null;
  }

  transaction(once: Once, ...calls: Call[]): Reply {
    const recorder = new Recorder();
    this.#batch.addTransaction(calls, [], once);
    this.#entry(() => {
      this.repeated = this.store.executeOnce(once, keepsReply(calls), recorder, (reply) =>
        this.store.executeTransaction(calls, [], reply),
      );
    });
    return recorder.replies[0] ?? null;
  }

  open(): number {
    return Number(this.run(null, 'KVORUM.SESSION', 'OPEN'));
  }

  /** A store that applied the same log from its bytes. */
  follower(): Store {
    const store = new Store();
    this.payloads.forEach((payload, at) => store.applyBatch(at + 1, payload));
    return store;
  }

  /** Goes on with another store, as the next leader does. */
  next(store: Store): Leader {
    const leader = new Leader();
    Object.assign(leader, { store });
    leader.payloads.push(...this.payloads);
    return leader;
  }

  #entry(apply: () => void): void {
    this.#time += 1;
    this.store.beginEntry(this.store.appliedIndex + 1, this.#time);
    apply();
    this.store.endEntry();
    this.payloads.push(this.#batch.finish(this.#time));
  }
}

const session = (id: number, sequence: number): Once => ({ kind: 'session', session: id, sequence });
const key = (name: string, fingerprint = 'f'): Once => ({ kind: 'key', key: name, fingerprint });
const code = (reply: Reply): string => (reply instanceof Error ? reply.message.split(' ')[0]! : '');

let leader: Leader;
beforeEach(() => {
  leader = new Leader();
});

describe('a session', () => {
  test('runs each sequence once and answers a repetition with the first reply', () => {
    const id = leader.open();
    expect(leader.run(session(id, 1), 'INCR', 'n')).toBe(1);
    expect(leader.run(session(id, 2), 'INCR', 'n')).toBe(2);
    expect(leader.run(session(id, 1), 'INCR', 'n')).toBe(1);
    expect(leader.repeated).toBe(true);
    expect(leader.run(null, 'GET', 'n')).toBe('2');
  });

  test('a failed command is an outcome like any other', () => {
    const id = leader.open();
    leader.run(null, 'SET', 'n', 'x');
    const error = leader.run(session(id, 1), 'INCR', 'n');
    leader.run(null, 'SET', 'n', '1');
    expect(leader.run(session(id, 1), 'INCR', 'n')).toEqual(error);
    expect(leader.run(session(id, 2), 'INCR', 'n')).toBe(2);
  });

  test('has no gaps: a write whose predecessor was never run is not run either', () => {
    const id = leader.open();
    leader.run(session(id, 1), 'INCR', 'n');
    const refused = leader.run(session(id, 3), 'INCR', 'n');
    expect(code(refused)).toBe('SEQGAP');
    expect(String(refused)).toContain(`: 2 is the next of session ${id}`);
    expect(leader.run(null, 'GET', 'n')).toBe('1');
    expect(leader.run(session(id, 2), 'INCR', 'n')).toBe(2);
    expect(leader.run(session(id, 3), 'INCR', 'n')).toBe(3);
  });

  test('keeps the last 128 replies, and never runs an older write again', () => {
    const id = leader.open();
    for (let sequence = 1; sequence <= 130; sequence += 1) leader.run(session(id, sequence), 'INCR', 'n');
    expect(leader.run(session(id, 3), 'INCR', 'n')).toBe(3);
    expect(code(leader.run(session(id, 2), 'INCR', 'n'))).toBe('SEQOLD');
    expect(leader.run(null, 'GET', 'n')).toBe('130');
    expect(leader.run(null, 'KVORUM.SESSION', 'INFO', String(id))).toEqual([
      'id',
      id,
      'next',
      131,
      'oldest',
      3,
    ]);
  });

  test('knows of a long reply only that its write was run', () => {
    const id = leader.open();
    const [fits, long] = ['x'.repeat(KEPT_REPLY_BYTES_MAX - 16), 'x'.repeat(KEPT_REPLY_BYTES_MAX)];
    for (const [sequence, value] of [
      [1, fits],
      [3, long],
    ] as const) {
      leader.run(session(id, sequence), 'SET', 'k', value);
      expect(leader.run(session(id, sequence + 1), 'GETDEL', 'k')).toBe(value);
    }
    expect(leader.run(session(id, 2), 'GETDEL', 'k')).toBe(fits);
    expect(code(leader.run(session(id, 4), 'GETDEL', 'k'))).toBe('APPLIED');
  });

  test('closed or never opened: its writes are not run', () => {
    const id = leader.open();
    expect(code(leader.run(session(id + 1, 1), 'INCR', 'n'))).toBe('NOSESSION');
    expect(leader.run(null, 'KVORUM.SESSION', 'CLOSE', String(id))).toBe(1);
    expect(leader.run(null, 'KVORUM.SESSION', 'CLOSE', String(id))).toBe(0);
    expect(code(leader.run(session(id, 1), 'INCR', 'n'))).toBe('NOSESSION');
    expect(code(leader.run(null, 'KVORUM.SESSION', 'INFO', String(id)))).toBe('NOSESSION');
    expect(leader.run(null, 'EXISTS', 'n')).toBe(0);
  });

  test('ids are never used again, not even after all keys are gone', () => {
    const first = leader.open();
    leader.run(null, 'KVORUM.SESSION', 'CLOSE', String(first));
    leader.run(null, 'FLUSHALL');
    expect(leader.open()).toBeGreaterThan(first);
  });

  test('goes on with the next leader, after a restart from the log and from a snapshot of a snapshot', () => {
    const id = leader.open();
    leader.run(session(id, 1), 'INCR', 'n');
    leader.run(session(id, 2), 'INCR', 'n');
    leader.run(key('k'), 'INCR', 'n');
    const again = restored(snapshotOf(restored(snapshotOf(leader.store))));
    for (const store of [leader.follower(), again]) {
      const next = leader.next(store);
      expect(store.digest()).toBe(leader.store.digest());
      expect(next.run(session(id, 2), 'INCR', 'n')).toBe(2);
      expect(next.run(key('k'), 'INCR', 'n')).toBe(3);
      expect(next.run(session(id, 3), 'INCR', 'n')).toBe(4);
    }
  });
});

describe('a transaction under a sequence', () => {
  test('is answered with all its replies, reads included, by whichever node leads', () => {
    const id = leader.open();
    leader.run(null, 'SET', 'a', '1');
    const calls = [call('GET', 'a'), call('INCR', 'a'), call('GET', 'a'), call('INCR', 'a')];
    const first = leader.transaction(session(id, 1), ...calls);
    expect(first).toEqual(['1', 2, '2', 3]);
    const next = leader.next(leader.follower());
    expect(next.transaction(session(id, 1), ...calls)).toEqual(first);
    expect(next.repeated).toBe(true);
    expect(next.run(null, 'GET', 'a')).toBe('3');
  });

  test('draws the same random numbers in its reads on every node, whatever else was read there', () => {
    const draw = (reads: number): Reply => {
      const { store } = new Leader();
      const recorder = new Recorder();
      const random: Call = {
        command: {
          ...call('GET', 'a').command,
          run: (context, _args, reply) => reply.double(context.random()),
        },
        args: ['GET', 'a'],
      };
      for (; reads > 0; reads--) store.read(call('GET', 'a').command, ['GET', 'a'], new Recorder(), 1);
      store.beginEntry(1, 1);
      store.executeOnce(key('k'), true, recorder, (reply) =>
        store.executeTransaction([random, random], [], reply),
      );
      return recorder.replies[0]!;
    };
    const [one, other] = draw(0) as number[];
    expect(one).not.toBe(other);
    expect(draw(3)).toEqual([one, other]);
  });

  test('that asks for more than its keys is known to be run, and no more', () => {
    const id = leader.open();
    const calls = [call('RANDOMKEY'), call('INCR', 'a')];
    leader.transaction(session(id, 1), ...calls);
    const next = leader.next(leader.follower());
    expect(next.store.digest()).toBe(leader.store.digest());
    expect(code(next.transaction(session(id, 1), ...calls))).toBe('APPLIED');
    expect(next.run(null, 'GET', 'a')).toBe('1');
  });
});

describe('an idempotency key', () => {
  test('is answered with the first reply, and refused for another command', () => {
    expect(leader.run(key('k', 'one'), 'INCR', 'n')).toBe(1);
    expect(leader.run(key('k', 'one'), 'INCR', 'n')).toBe(1);
    expect(leader.repeated).toBe(true);
    expect(code(leader.run(key('k', 'other'), 'INCR', 'm'))).toBe('KEYREUSED');
    expect(leader.run(key('l', 'one'), 'INCR', 'n')).toBe(2);
  });
});

describe('the bounds', () => {
  test('the least recently used session goes, on every node the same', () => {
    const ids = Array.from({ length: SESSIONS_MAX }, () => leader.open());
    leader.run(session(ids[0]!, 1), 'INCR', 'n');
    const extra = leader.open();
    expect(code(leader.run(session(ids[1]!, 1), 'INCR', 'n'))).toBe('NOSESSION');
    for (const id of [ids[2]!, extra]) expect(leader.run(session(id, 1), 'SET', 'x', '1')).toBe('OK');
    expect(leader.run(session(ids[0]!, 1), 'INCR', 'n')).toBe(1);
    expect(leader.follower().digest()).toBe(leader.store.digest());
    const copy = restored(snapshotOf(leader.store, 64 * 1024));
    expect(copy.digest()).toBe(leader.store.digest());
    // The order of use came along: the same session goes next.
    const next = leader.next(copy);
    next.open();
    leader.open();
    expect(copy.digest()).toBe(leader.store.digest());
  });

  test('the bytes of all sessions together are bounded', () => {
    const table = new OnceTable();
    const reply = 'r'.repeat(KEPT_REPLY_BYTES_MAX);
    for (let id = 1; id <= 200; id += 1) {
      table.open(id);
      for (let sequence = 1; sequence <= 128; sequence += 1) table.record(session(id, sequence), reply);
    }
    // 64 MiB hold 127 sessions with 128 replies of 4 KiB each, and what they cost besides.
    expect(table.sessions).toBe(126);
    expect(table.facts(74)).toBeNull();
    expect(table.facts(75)).toEqual({ next: 129, oldest: 1 });
  });

  test('the least recently used key goes', () => {
    const table = new OnceTable();
    for (let at = 0; at <= KEYS_MAX; at += 1) table.record(key(`k${at}`), 'r');
    expect(table.keys).toBe(KEYS_MAX);
    expect(table.judge(key('k0'))).toEqual({ kind: 'run' });
    expect(table.judge(key('k1'))).toEqual({ kind: 'repeat', reply: 'r' });
  });
});

test('the digest tells apart what is known of named writes, and the order of its use', () => {
  const digests = [
    [],
    [session(1, 1)],
    [session(1, 1), session(2, 1)],
    [session(2, 1), session(1, 1)],
    [session(1, 1), session(1, 2)],
    [key('k')],
    [key('k', 'other')],
    [key('l')],
  ].map((names) => {
    const { store } = new Leader();
    store.beginEntry(1, 1);
    for (let count = 2; count > 0; count--)
      store.execute(dataCommandOf(['KVORUM.SESSION', 'OPEN'])!, ['KVORUM.SESSION', 'OPEN'], new Recorder());
    for (const name of names) store.executeOnce(name, true, new Recorder(), (reply) => reply.ok());
    return store.digest();
  });
  expect(new Set(digests).size).toBe(digests.length);
});

test('a snapshot shows the sessions of its moment, whatever is written meanwhile', () => {
  const id = leader.open();
  leader.run(session(id, 1), 'INCR', 'n');
  const digest = leader.store.digest();
  const encoder = leader.store.startSnapshot();
  leader.run(session(id, 2), 'INCR', 'n');
  leader.open();
  leader.run(key('k'), 'INCR', 'n');
  const blocks: Uint8Array[] = [];
  for (let block = encoder.next(64); block !== null; block = encoder.next(64)) blocks.push(block);
  expect(restored(blocks).digest()).toBe(digest);
});

test('whatever is sent, again and out of order, each sequence is run at most once and the nodes agree', () => {
  const sending = fc.record({
    session: fc.integer({ min: 1, max: 3 }),
    sequence: fc.integer({ min: 1, max: 12 }),
  });
  fc.assert(
    fc.property(fc.array(sending, { maxLength: 80 }), (sendings) => {
      const one = new Leader();
      const ids = [one.open(), one.open(), one.open()];
      const first = new Map<string, Reply>();
      for (const { session: at, sequence } of sendings) {
        const reply = one.run(session(ids[at - 1]!, sequence), 'INCR', `n${at}`);
        if (reply instanceof Error) continue;
        expect(reply).toBe(first.get(`${at} ${sequence}`) ?? sequence);
        first.set(`${at} ${sequence}`, reply);
      }
      const copy = restored(snapshotOf(one.store));
      expect(one.follower().digest()).toBe(one.store.digest());
      expect(copy.digest()).toBe(one.store.digest());
    }),
    { numRuns: 100 },
  );
});

test('records of a snapshot that can not be are refused', () => {
  const table = new OnceTable();
  const twoRepliesOfOneWrite = Buffer.from([7, 1, 2, 1, 0x61, 1, 0x61]);
  expect(() => table.restoreSession(new ByteReader(twoRepliesOfOneWrite))).toThrow(/2 replies of 1 writes/);
  const fine = Buffer.from([7, 1, 1, 1, 0x61]);
  table.restoreSession(new ByteReader(fine));
  expect(() => table.restoreSession(new ByteReader(fine))).toThrow(/second time/);
});
