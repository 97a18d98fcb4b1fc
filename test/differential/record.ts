/** Records the fixtures anew: `node test/differential/record.ts`. Needs the redis-server of the fixtures' version. */
import { recordArguments } from './command-docs.ts';
import { recordDumps } from './dumps.ts';
import { type Recording, writeRecordings } from './fixtures.ts';
import { generate } from './generate.ts';
import { Link } from './link.ts';
import { REDIS_VERSION, RedisServer, redisServerFound } from './redis-server.ts';

const SEQUENCES = 100;
/** Short, so that the clock of a replay, which only pauses move, stays near the one of the recording. */
const STEPS = 200;

if (!redisServerFound())
  throw new Error(`redis-server ${REDIS_VERSION} is not on the PATH; install that version`);
await using server = await RedisServer.start();
const recordings: Recording[] = [];
for (let seed = 1; seed <= SEQUENCES; seed++) {
  const steps = generate(seed, STEPS);
  recordings.push({ seed, steps, resp2: await server.play(steps, 2), resp3: await server.play(steps, 3) });
}
writeRecordings(recordings);
const link = await Link.to(server.path, 2);
await recordDumps(link);
link.close();
await recordArguments(`unix://${server.path}`);
console.log(`recorded ${recordings.length} sequences, dumps, and arguments of commands`);
