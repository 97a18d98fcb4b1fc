/** Makes the snapshot and the append-only file of the fixtures anew: `node test/formats/record.ts`. */
import { REDIS_VERSION, redisServerFound } from '../differential/redis-server.ts';
import { record } from './snapshot.ts';

if (!redisServerFound())
  throw new Error(`redis-server ${REDIS_VERSION} is not on the PATH; install that version`);
await record();
