/** Groups of consumers: what they are given, what is pending, what becomes of it. */
import { describe, expect, test } from 'vitest';
import { call, Harness, Recorder, type Reply, restored, snapshotOf } from '../testing/harness.ts';

function add(harness: Harness, key: string, from: number, to: number): void {
  for (let at = from; at <= to; at++) harness.run('XADD', key, `${at}-0`, 'f', String(at));
}

/** A stream `s` with entries 1 to `entries` and a group `g` that has read none. */
function withGroup(entries: number): Harness {
  const harness = new Harness();
  add(harness, 's', 1, entries);
  harness.run('XGROUP', 'CREATE', 's', 'g', '0', 'MKSTREAM');
  return harness;
}

/** The ids of XREADGROUP's reply for one stream; null where there is none. */
function read(harness: Harness, consumer: string, from: string, ...options: string[]): Reply[] | null {
  const reply = harness.run('XREADGROUP', 'GROUP', 'g', consumer, ...options, 'STREAMS', 's', from);
  const [stream] = (reply ?? []) as [[string, [string, Reply][]]];
  return stream === undefined ? null : stream[1].map(([id]) => id);
}

/** Id, consumer and deliveries of what is pending. */
function pending(harness: Harness, ...options: string[]): Reply[] {
  const rows = harness.run('XPENDING', 's', 'g', ...options, '-', '+', '100') as [
    Reply,
    Reply,
    Reply,
    Reply,
  ][];
  return rows.map(([id, consumer, , deliveries]) => [id, consumer, deliveries]);
}

function expectSameEverywhere(harness: Harness): void {
  const digest = harness.store.digest();
  expect(harness.follower().digest()).toBe(digest);
  const copy = restored(snapshotOf(harness.store));
  expect(copy.digest()).toBe(digest);
  expect(copy.bytes).toBe(harness.store.bytes);
}

describe('XREADGROUP', () => {
  test('gives each entry to one consumer, and again to the same one from its history', () => {
    const harness = withGroup(3);
    expect(read(harness, 'one', '>', 'COUNT', '2')).toEqual(['1-0', '2-0']);
    expect(read(harness, 'two', '>')).toEqual(['3-0']);
    expect(read(harness, 'two', '>')).toBeNull();
    expect(read(harness, 'one', '0')).toEqual(['1-0', '2-0']);
    expect(read(harness, 'one', '1')).toEqual(['2-0']);
    expect(read(harness, 'three', '0')).toEqual([]);
    expect(pending(harness)).toEqual([
      ['1-0', 'one', 2],
      ['2-0', 'one', 3],
      ['3-0', 'two', 1],
    ]);
    expect(harness.run('XPENDING', 's', 'g')).toEqual([
      3,
      '1-0',
      '3-0',
      [
        ['one', '2'],
        ['two', '1'],
      ],
    ]);
    expectSameEverywhere(harness);
  });

  test('forgets at once with NOACK', () => {
    const harness = withGroup(3);
    expect(read(harness, 'one', '>', 'NOACK')).toEqual(['1-0', '2-0', '3-0']);
    expect(pending(harness)).toEqual([]);
    expect(read(harness, 'one', '>')).toBeNull();
  });

  test('shows what was deleted since as an id without fields', () => {
    const harness = withGroup(2);
    read(harness, 'one', '>');
    harness.run('XDEL', 's', '1');
    expect(harness.run('XREADGROUP', 'GROUP', 'g', 'one', 'STREAMS', 's', '0')).toEqual([
      [
        's',
        [
          ['1-0', null],
          ['2-0', ['f', '2']],
        ],
      ],
    ]);
  });

  test('gives a stream that is named twice its next entries', () => {
    const harness = withGroup(3);
    const reply = harness.run(
      'XREADGROUP',
      'GROUP',
      'g',
      'c',
      'COUNT',
      '2',
      'STREAMS',
      's',
      's',
      's',
      '>',
      '>',
      '>',
    );
    expect(reply).toEqual([
      [
        's',
        [
          ['1-0', ['f', '1']],
          ['2-0', ['f', '2']],
        ],
      ],
      ['s', [['3-0', ['f', '3']]]],
    ]);
    expectSameEverywhere(harness);
  });

  test('gives what another consumer has to this one, when the group went back', () => {
    const harness = withGroup(2);
    read(harness, 'one', '>');
    harness.run('XGROUP', 'SETID', 's', 'g', '0');
    expect(read(harness, 'two', '>', 'COUNT', '1')).toEqual(['1-0']);
    expect(pending(harness)).toEqual([
      ['1-0', 'two', 1],
      ['2-0', 'one', 1],
    ]);
    expect(read(harness, 'one', '0')).toEqual(['2-0']);
    expectSameEverywhere(harness);
  });

  test('creates a consumer with the first thing it gives, not before', () => {
    const harness = withGroup(0);
    expect(read(harness, 'one', '>')).toBeNull();
    expect(harness.run('XINFO', 'CONSUMERS', 's', 'g')).toEqual([]);
    expect(harness.run('XGROUP', 'CREATECONSUMER', 's', 'g', 'one')).toBe(1);
    expect(harness.run('XGROUP', 'CREATECONSUMER', 's', 'g', 'one')).toBe(0);
    harness.now += 500;
    expect(harness.run('XINFO', 'CONSUMERS', 's', 'g')).toEqual([['name', 'one', 'pending', 0, 'idle', 500]]);
  });

  test('is no change for who watches the stream', () => {
    const harness = withGroup(3);
    const version = harness.store.version('s');
    read(harness, 'one', '>');
    harness.run('XACK', 's', 'g', '1');
    harness.run('XCLAIM', 's', 'g', 'two', '0', '2');
    harness.run('XGROUP', 'CREATE', 's', 'h', '$');
    harness.run('XGROUP', 'SETID', 's', 'h', '0');
    expect(harness.store.version('s')).toBe(version);
    // Those who wait for a group hear by this that it is gone.
    harness.run('XGROUP', 'DESTROY', 's', 'g');
    expect(harness.store.version('s')).not.toBe(version);
    expectSameEverywhere(harness);
  });
});

describe('waiting for a group', () => {
  /** What the command waits for, or its reply. */
  function run(harness: Harness, args: readonly string[]): unknown {
    const { command } = call(...args);
    const recorder = new Recorder();
    harness.store.beginEntry(harness.store.appliedIndex + 1, harness.now);
    const wait = harness.store.executeOrWait(command, args, recorder);
    harness.store.endEntry();
    return wait ?? recorder.replies[0];
  }
  const args = ['XREADGROUP', 'GROUP', 'g', 'one', 'COUNT', '5', 'BLOCK', '0', 'STREAMS', 's', '>'];
  const again = [
    'XREADGROUP',
    'GROUP',
    'g',
    'one',
    'COUNT',
    '5',
    'BLOCK',
    '0',
    'BLOCK',
    '0+',
    'STREAMS',
    's',
    '>',
  ];

  test('changes nothing, and ends with an entry', () => {
    const harness = withGroup(0);
    const digest = harness.store.digest();
    expect(run(harness, args)).toEqual({ keys: ['s'], timeoutMs: 0, retry: again });
    expect(run(harness, again)).toEqual({ keys: ['s'], timeoutMs: 0, retry: again });
    expect(harness.store.digest()).toBe(digest);
    add(harness, 's', 7, 7);
    expect(run(harness, again)).toEqual([['s', [['7-0', ['f', '7']]]]]);
  });

  test('ends when the stream is gone, or became something else', () => {
    const harness = withGroup(0);
    harness.run('DEL', 's');
    const gone = new Error('UNBLOCKED the stream key no longer exists');
    expect(run(harness, again)).toEqual(gone);
    harness.run('SET', 's', 'x');
    expect(run(harness, again)).toEqual(gone);
    // Who comes only now is told otherwise.
    expect(run(harness, args)).toEqual(
      new Error('WRONGTYPE Operation against a key holding the wrong kind of value'),
    );
  });

  /** The keys of which listeners hear while `run` runs. */
  function changedBy(harness: Harness, run: () => void): string[] {
    const changed: string[] = [];
    harness.store.listener = {
      changed: (key) => void changed.push(key),
      cleared() {},
      event() {},
      message: () => 0,
      metaChanged() {},
      refused() {},
      restored() {},
    };
    run();
    harness.store.listener = null;
    return changed;
  }

  test('ends when the group is gone, of which listeners hear', () => {
    const harness = withGroup(0);
    expect(changedBy(harness, () => harness.run('XGROUP', 'DESTROY', 's', 'g'))).toEqual(['s']);
    expect(run(harness, again)).toEqual(
      new Error('NOGROUP the consumer group this client was blocked on no longer exists'),
    );
    expect(run(harness, args)).toEqual(
      new Error("NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option"),
    );
  });

  test('listeners hear of what a consumer has left to the others, and of nothing else that it does', () => {
    const harness = withGroup(3);
    expect(changedBy(harness, () => read(harness, 'one', '>', 'COUNT', '2'))).toEqual(['s']);
    expect(changedBy(harness, () => read(harness, 'one', '>', 'COUNT', '1'))).toEqual([]);
    expect(changedBy(harness, () => read(harness, 'one', '0'))).toEqual([]);
    expect(changedBy(harness, () => harness.run('XACK', 's', 'g', '1'))).toEqual([]);
  });

  test('there is none in a transaction', () => {
    const harness = withGroup(0);
    expect(harness.transaction([call(...args)])).toEqual([null]);
  });
});

test('XACK takes what is pending from group and consumer, each once', () => {
  const harness = withGroup(3);
  read(harness, 'one', '>');
  expect(harness.run('XACK', 's', 'g', '1', '1-0', '9')).toBe(1);
  expect(harness.run('XACK', 's', 'g', '2', 'x')).toBeInstanceOf(Error);
  expect(harness.run('XACK', 's', 'missing', 'x')).toBe(0);
  expect(pending(harness)).toEqual([
    ['2-0', 'one', 1],
    ['3-0', 'one', 1],
  ]);
  expect(read(harness, 'one', '0')).toEqual(['2-0', '3-0']);
  expectSameEverywhere(harness);
});

describe('XPENDING', () => {
  test('lists what is pending for long enough, for one consumer or all', () => {
    const harness = withGroup(4);
    read(harness, 'one', '>', 'COUNT', '2');
    harness.now += 1000;
    read(harness, 'two', '>');
    harness.now += 100;
    expect(harness.run('XPENDING', 's', 'g', '(1', '+', '2')).toEqual([
      ['2-0', 'one', 1100, 1],
      ['3-0', 'two', 100, 1],
    ]);
    expect(pending(harness, 'IDLE', '1100')).toEqual([
      ['1-0', 'one', 1],
      ['2-0', 'one', 1],
    ]);
    expect(harness.run('XPENDING', 's', 'g', '-', '+', '9', 'two')).toHaveLength(2);
    expect(harness.run('XPENDING', 's', 'g', '-', '+', '9', 'nobody')).toEqual([]);
    expect(harness.run('XPENDING', 's', 'g', '-', '+', '-1')).toEqual([]);
  });
});

describe('claiming', () => {
  test('gives what is pending to another consumer, and counts', () => {
    const harness = withGroup(3);
    read(harness, 'one', '>');
    harness.now += 1000;
    expect(harness.run('XCLAIM', 's', 'g', 'two', '2000', '1')).toEqual([]);
    expect(harness.run('XCLAIM', 's', 'g', 'two', '1000', '1', '9')).toEqual([['1-0', ['f', '1']]]);
    expect(harness.run('XCLAIM', 's', 'g', 'two', '0', '2', 'JUSTID')).toEqual(['2-0']);
    expect(harness.run('XCLAIM', 's', 'g', 'two', '0', '3', 'RETRYCOUNT', '7', 'IDLE', '300')).toHaveLength(
      1,
    );
    expect(pending(harness)).toEqual([
      ['1-0', 'two', 2],
      ['2-0', 'two', 1],
      ['3-0', 'two', 7],
    ]);
    expect(pending(harness, 'IDLE', '300')).toEqual([['3-0', 'two', 7]]);
    expectSameEverywhere(harness);
  });

  test('can make pending what was not, if it is there, and drops what is not', () => {
    const harness = withGroup(2);
    expect(harness.run('XCLAIM', 's', 'g', 'one', '0', '1', '7')).toEqual([]);
    expect(harness.run('XCLAIM', 's', 'g', 'one', '0', '1', '7', 'FORCE', 'JUSTID', 'LASTID', '5')).toEqual([
      '1-0',
    ]);
    expect(read(harness, 'one', '>')).toBeNull();
    harness.run('XDEL', 's', '1');
    expect(harness.run('XCLAIM', 's', 'g', 'two', '0', '1')).toEqual([]);
    expect(pending(harness)).toEqual([]);
  });

  test('goes through all with a cursor', () => {
    const harness = withGroup(5);
    read(harness, 'one', '>');
    harness.run('XDEL', 's', '2');
    harness.now += 1000;
    harness.run('XCLAIM', 's', 'g', 'three', '0', '3');
    expect(harness.run('XAUTOCLAIM', 's', 'g', 'two', '1000', '-', 'COUNT', '2', 'JUSTID')).toEqual([
      '3-0',
      ['1-0'],
      ['2-0'],
    ]);
    expect(harness.run('XAUTOCLAIM', 's', 'g', 'two', '1000', '3-0')).toEqual([
      '0-0',
      [
        ['4-0', ['f', '4']],
        ['5-0', ['f', '5']],
      ],
      [],
    ]);
    expect(pending(harness)).toEqual([
      ['1-0', 'two', 1],
      ['3-0', 'three', 2],
      ['4-0', 'two', 2],
      ['5-0', 'two', 2],
    ]);
    expectSameEverywhere(harness);
  });

  test('counts deliveries to the end of 64 bits and around', () => {
    const harness = withGroup(1);
    const most = '9223372036854775807';
    harness.run('XCLAIM', 's', 'g', 'one', '0', '1', 'FORCE', 'RETRYCOUNT', most);
    expect(pending(harness)).toEqual([['1-0', 'one', BigInt(most)]]);
    harness.run('XCLAIM', 's', 'g', 'one', '0', '1');
    expect(pending(harness)).toEqual([['1-0', 'one', -(2n ** 63n)]]);
    expectSameEverywhere(harness);
  });
});

test('a consumer that goes takes what is pending for it along, a group all of it', () => {
  const harness = withGroup(3);
  const bytes = harness.store.bytes;
  read(harness, 'one', '>', 'COUNT', '2');
  read(harness, 'two', '>');
  expect(harness.run('XGROUP', 'DELCONSUMER', 's', 'g', 'one')).toBe(2);
  expect(harness.run('XGROUP', 'DELCONSUMER', 's', 'g', 'one')).toBe(0);
  expect(pending(harness)).toEqual([['3-0', 'two', 1]]);
  expect(harness.run('XGROUP', 'DELCONSUMER', 's', 'g', 'two')).toBe(1);
  expect(harness.store.bytes).toBe(bytes);
  expect(harness.run('XGROUP', 'DESTROY', 's', 'g')).toBe(1);
  expect(harness.run('XGROUP', 'DESTROY', 's', 'g')).toBe(0);
  expect(harness.run('XPENDING', 's', 'g')).toEqual(
    new Error("NOGROUP No such key 's' or consumer group 'g'"),
  );
  expectSameEverywhere(harness);
});

test('a copy of a stream has groups of its own', () => {
  const harness = withGroup(3);
  read(harness, 'one', '>', 'COUNT', '2');
  harness.run('COPY', 's', 't');
  harness.run('XACK', 's', 'g', '1');
  harness.run('XADD', 't', '4-0', 'f', '4');
  read(harness, 'one', '>');
  expect(pending(harness)).toEqual([
    ['2-0', 'one', 1],
    ['3-0', 'one', 1],
  ]);
  expect(harness.run('XPENDING', 't', 'g')).toEqual([2, '1-0', '2-0', [['one', '2']]]);
  expect(harness.run('XLEN', 's')).toBe(3);
  expectSameEverywhere(harness);
});

describe('how far a group is behind', () => {
  function lagOf(harness: Harness): Reply[] {
    const [group] = harness.run('XINFO', 'GROUPS', 's') as Reply[][];
    return [group?.[9] ?? null, group?.[11] ?? null];
  }

  test('is counted while nothing is deleted ahead of it', () => {
    const harness = withGroup(5);
    expect(lagOf(harness)).toEqual([null, 5]);
    read(harness, 'one', '>', 'COUNT', '2');
    expect(lagOf(harness)).toEqual([2, 3]);
    harness.run('XDEL', 's', '1');
    expect(lagOf(harness)).toEqual([2, 3]);
    harness.run('XDEL', 's', '4');
    expect(lagOf(harness)).toEqual([2, null]);
    read(harness, 'one', '>');
    expect(lagOf(harness)).toEqual([5, 0]);
    harness.run('XGROUP', 'SETID', 's', 'g', '3', 'ENTRIESREAD', '3');
    expect(lagOf(harness)).toEqual([3, null]);
    expectSameEverywhere(harness);
  });
});

test('deletions before the first entry that is left make no difference to a lag', () => {
  const harness = withGroup(3);
  read(harness, 'one', '>', 'COUNT', '1');
  harness.run('XDEL', 's', '2');
  harness.run('XTRIM', 's', 'MAXLEN', '1');
  const [group] = harness.run('XINFO', 'GROUPS', 's') as Reply[][];
  expect(group?.slice(8)).toEqual(['entries-read', 1, 'lag', 2]);
});

test.each([
  'XADD s 9-0 f v',
  'XDEL s 2',
  'XTRIM s MAXLEN 1',
  'XSETID s 9-0 ENTRIESADDED 20',
  'XREADGROUP GROUP g two STREAMS s >',
  'XREADGROUP GROUP g two NOACK STREAMS s >',
  'XREADGROUP GROUP g one STREAMS s 0',
  'XACK s g 1-0',
  'XCLAIM s g two 0 1-0',
  'XCLAIM s g two 0 9-9 LASTID 3-0',
  'XAUTOCLAIM s g two 0 -',
  'XGROUP CREATE s h 0',
  'XGROUP SETID s g 0',
  'XGROUP CREATECONSUMER s g two',
  'XGROUP DELCONSUMER s g one',
  'XGROUP DESTROY s g',
])('a snapshot that is being written does not see what comes: %s', (line) => {
  const harness = withGroup(3);
  read(harness, 'one', '>', 'COUNT', '2');
  const before = harness.store.digest();
  const encoder = harness.store.startSnapshot();
  expect(harness.run(...line.split(' '))).not.toBeInstanceOf(Error);
  expect(harness.store.digest()).not.toBe(before);
  const blocks: Uint8Array[] = [];
  for (let block = encoder.next(1000); block !== null; block = encoder.next(1000)) blocks.push(block);
  expect(restored(blocks).digest()).toBe(before);
  expectSameEverywhere(harness);
});

/** Names and values by turns. */
function record(reply: Reply | undefined): Record<string, Reply> {
  const items = reply as Reply[];
  return Object.fromEntries(
    items.flatMap((name, at) => (at % 2 === 0 ? [[String(name), items[at + 1] ?? null]] : [])),
  );
}

test('XINFO STREAM tells everything', () => {
  const harness = withGroup(150);
  read(harness, 'one', '>', 'COUNT', '1');
  const common = {
    length: 150,
    'radix-tree-keys': 2,
    'radix-tree-nodes': 6,
    'last-generated-id': '150-0',
    'max-deleted-entry-id': '0-0',
    'entries-added': 150,
    'recorded-first-entry-id': '1-0',
  };
  expect(record(harness.run('XINFO', 'STREAM', 's'))).toEqual({
    ...common,
    groups: 1,
    'first-entry': ['1-0', ['f', '1']],
    'last-entry': ['150-0', ['f', '150']],
  });
  const { groups, ...full } = record(harness.run('XINFO', 'STREAM', 's', 'FULL', 'COUNT', '2'));
  expect(full).toEqual({
    ...common,
    entries: [
      ['1-0', ['f', '1']],
      ['2-0', ['f', '2']],
    ],
  });
  const { consumers, ...group } = record((groups as Reply[])[0]);
  expect(group).toEqual({
    name: 'g',
    'last-delivered-id': '1-0',
    'entries-read': 1,
    lag: 149,
    'pel-count': 1,
    pending: [['1-0', 'one', 1_000_000, 1]],
  });
  expect((consumers as Reply[]).map(record)).toEqual([
    { name: 'one', 'seen-time': 1_000_000, 'pel-count': 1, pending: [['1-0', 1_000_000, 1]] },
  ]);
  const { entries } = record(harness.run('XINFO', 'STREAM', 's', 'FULL', 'COUNT', '0'));
  expect(entries).toHaveLength(150);
  expect(harness.run('XINFO', 'STREAM', 's', 'HALF')).toEqual(
    new Error("ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP."),
  );
});
