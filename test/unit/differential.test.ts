/**
 * The store against Redis, reply by reply: recorded answers everywhere, and a real redis-server where there is one.
 * `test/differential/README.md` names the differences that are meant.
 */
import { describe, expect, test } from 'vitest';
import { dataCommands } from '../../src/store/table.ts';
import { readRecordings, type Recording } from '../differential/fixtures.ts';
import { generate, type Step } from '../differential/generate.ts';
import { InProcess } from '../differential/in-process.ts';
import { REDIS_VERSION, RedisServer, redisServerFound } from '../differential/redis-server.ts';
import { elements, sameReply } from '../differential/reply.ts';

/** The first replies that differ, told in a way that can be acted upon; undefined when there are none. */
function firstDifference(
  steps: readonly Step[],
  expected: readonly string[],
  actual: readonly string[],
  shiftMs = 0,
): string | undefined {
  const queues: string[][][] = [[], []];
  for (const [at, step] of steps.entries()) {
    if (step.kind === 'pause') continue;
    const { connection, args } = step;
    if (!sameReply(args, expected[at]!, actual[at]!, queues[connection], shiftMs))
      return `step ${at}: ${JSON.stringify(args)}\n redis ${JSON.stringify(expected[at])}\n  ours ${JSON.stringify(actual[at])}`;
    if (args[0] === 'MULTI') queues[connection] = [];
    else queues[connection]!.push([...args]);
  }
  return undefined;
}

function playInProcess(steps: readonly Step[], protocol: 2 | 3, start: number): string[] {
  const ours = new InProcess(protocol, start);
  const replies = steps.map((step) => ours.run(step));
  expect(ours.follower.digest(), 'the follower applied the same').toBe(ours.leader.digest());
  expect(ours.follower.size).toBe(ours.leader.size);
  return replies;
}

function expectSame(title: string, difference: string | undefined): void {
  expect(difference, title).toBeUndefined();
}

const recordings = readRecordings();

describe.each([2, 3] as const)('RESP%i', (protocol) => {
  const recorded = (recording: Recording) => (protocol === 2 ? recording.resp2 : recording.resp3);

  test(`every recorded reply of Redis ${REDIS_VERSION} is ours`, () => {
    expect(recordings.length).toBeGreaterThanOrEqual(100);
    for (const recording of recordings) {
      const { start, replies } = recorded(recording);
      const ours = playInProcess(recording.steps, protocol, start);
      expectSame(`recorded seed ${recording.seed}`, firstDifference(recording.steps, replies, ours));
    }
  });
});

/** The number of an integer reply. */
function numberOf(reply = ''): number {
  return Number(reply.slice(1));
}

/** Whether the server compared with knows no such command: it is ours, or a module's, or of a later version. */
function isUnknownToThem(name: string, since: string): boolean {
  const [major = 0, minor = 0] = since.split('.').map(Number);
  return (
    name === 'delete' ||
    name.startsWith('bf.') ||
    name.startsWith('kvorum.') ||
    major > 7 ||
    (major === 7 && minor > 0)
  );
}

const SEQUENCES = 12;
const STEPS = 200;
const required = process.env['KVORUM_REQUIRE_REDIS'] === '1';
const found = redisServerFound();
if (!found && !required)
  console.warn(`SKIPPED: comparison with a live redis-server ${REDIS_VERSION}: there is none on the PATH`);

/** Sequences wait for real deadlines, and a loaded machine is slow. */
const LIVE_TIMEOUT_MS = 120_000;

describe.skipIf(!found && !required)(
  `a live redis-server ${REDIS_VERSION}`,
  { timeout: LIVE_TIMEOUT_MS },
  () => {
    const seed = Number(process.env['KVORUM_SEED'] ?? Date.now() % 1_000_000_000);

    test(`answers as we do to new sequences, seeds ${seed} to ${seed + SEQUENCES - 1} (KVORUM_SEED=${seed} repeats)`, async () => {
      expect(found, `redis-server ${REDIS_VERSION} must be on the PATH`).toBe(true);
      await using server = await RedisServer.start();
      for (let each = seed; each < seed + SEQUENCES; each++) {
        const protocol = each % 2 === 0 ? 2 : 3;
        const steps = generate(each, STEPS);
        const { start, replies } = await server.play(steps, protocol);
        const ours = playInProcess(steps, protocol, start);
        expectSame(`seed ${each}, RESP${protocol}`, firstDifference(steps, replies, ours));
      }
    });

    test('declares the commands as our table does', async () => {
      expect(found, `redis-server ${REDIS_VERSION} must be on the PATH`).toBe(true);
      await using server = await RedisServer.start();
      const connection = await server.connect(2);
      for (const { name, arity, flags, keys, categories, since } of dataCommands.values()) {
        if (isUnknownToThem(name, since)) continue;
        const [info = ''] = elements(await connection.send(['COMMAND', 'INFO', name]));
        const [, theirArity, theirFlags = '', first, last, step, theirCategories = ''] = elements(info);
        const words = (reply: string) => elements(reply).map((word) => word.slice(1, -2));
        expect(
          {
            name,
            arity,
            flags: flags.filter((flag) => flag !== 'may_replicate'),
            keys,
            categories: categories.map((category) => `@${category}`).sort(),
          },
          name,
        ).toEqual({
          name,
          arity: numberOf(theirArity),
          flags: words(theirFlags),
          keys: { first: numberOf(first), last: numberOf(last), step: numberOf(step) },
          categories: words(theirCategories).sort(),
        });
      }
      connection.close();
    });

    test(`still answers as recorded, from recording ${seed % recordings.length} on`, async () => {
      expect(found, `redis-server ${REDIS_VERSION} must be on the PATH`).toBe(true);
      await using server = await RedisServer.start();
      for (let each = 0; each < SEQUENCES; each++) {
        const { steps, resp2, seed: recordedSeed } = recordings[(seed + each) % recordings.length]!;
        const { start, replies } = await server.play(steps, 2);
        const difference = firstDifference(steps, resp2.replies, replies, start - resp2.start);
        expectSame(`recorded seed ${recordedSeed}`, difference);
      }
    });
  },
);
