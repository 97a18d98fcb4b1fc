import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';

import {
  type Config,
  ConfigError,
  SETTINGS,
  httpUrlOf,
  readConfig,
  variableOf,
  warningsOf,
} from './config.ts';

type Flags = Partial<Record<keyof Config, string | true>>;

const refusal = (flags: Flags, environment: Record<string, string> = {}): string => {
  try {
    readConfig(flags, environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error('expected a ConfigError');
};

const THREE = 'n1=http://127.0.0.1:7001,n2=http://127.0.0.1:7002,n3=http://127.0.0.1:7003';

describe('where a value comes from', () => {
  test('nothing given makes a durable cluster of one on loopback', () => {
    expect(readConfig({}, {})).toEqual({
      id: 'n1',
      port: 6380,
      httpPort: 7380,
      host: '127.0.0.1',
      dataDir: './data',
      peers: null,
      join: null,
      learner: false,
      replace: null,
      httpUrl: null,
      announce: null,
      fsync: 'always',
      fsyncIntervalMs: 1000,
      snapshotEntries: 100_000,
      snapshotBytes: 64 * 2 ** 20,
      heartbeatMs: 100,
      clusterSecret: null,
      password: null,
      insecure: false,
      maxClients: 10_000,
      maxRequestBytes: 32 * 2 ** 20,
      followerReads: false,
      proxy: false,
      unknownOutcome: 'error',
      logLevel: 'info',
    });
  });

  test('a flag wins over its variable, a variable over the default', () => {
    const environment = { KVORUM_PORT: '7000', KVORUM_DATA_DIR: '/var/lib/kvorum' };
    const config = readConfig({ port: '6999' }, environment);
    expect(config.port).toBe(6999);
    expect(config.dataDir).toBe('/var/lib/kvorum');
  });

  test('every setting has a variable of its own, named after the flag', () => {
    const variables = Object.values(SETTINGS).map(variableOf);
    expect(new Set(variables).size).toBe(variables.length);
    expect(variableOf(SETTINGS.httpPort)).toBe('KVORUM_HTTP_PORT');
  });

  test('an empty variable counts as not given', () => {
    expect(readConfig({}, { KVORUM_PASSWORD: '', KVORUM_PORT: '' }).password).toBeNull();
  });

  test('a switch is a bare flag or a variable with true, 1, false, 0', () => {
    expect(readConfig({ insecure: true }, {}).insecure).toBe(true);
    expect(readConfig({}, { KVORUM_INSECURE: '1' }).insecure).toBe(true);
    expect(readConfig({}, { KVORUM_INSECURE: 'false' }).insecure).toBe(false);
    expect(refusal({}, { KVORUM_INSECURE: 'yes' })).toContain(
      'KVORUM_INSECURE: "yes" is neither true nor false',
    );
  });

  test('a secret may come from a file, without the line end', () => {
    const folder = mkdtempSync(join(tmpdir(), 'kvorum-config-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'password');
    writeFileSync(file, 'open-sesame\n');
    expect(readConfig({}, { KVORUM_PASSWORD_FILE: file }).password).toBe('open-sesame');
    expect(refusal({}, { KVORUM_PASSWORD_FILE: file, KVORUM_PASSWORD: 'other' })).toContain('both set');
    expect(refusal({}, { KVORUM_PASSWORD_FILE: join(folder, 'missing') })).toContain("can't be read");
  });
});

describe('one value', () => {
  test.each<[Flags, string]>([
    [{ port: '65536' }, '--port: "65536" is not a whole number from 0 to 65535'],
    [{ port: '6380x' }, '--port: "6380x" is not a whole number'],
    [{ port: '-1' }, '--port: "-1" is not a whole number'],
    [{ httpPort: '' }, '--http-port: "" is not a whole number'],
    [{ id: 'a/b' }, '--id: "a/b" is not a node id; use 1 to 64 of A-Z a-z 0-9 _ . -'],
    [{ id: 'x'.repeat(65) }, 'is not a node id'],
    [{ host: 'http://x' }, '--host: "http://x" is not an address'],
    [{ host: 'a b' }, '--host: "a b" is not an address'],
    [{ dataDir: '' }, '--data-dir: "" is empty'],
    [{ fsync: 'sometimes' }, '--fsync: "sometimes" is not known; use one of always, interval, never'],
    [{ fsyncIntervalMs: '0' }, '--fsync-interval: "0" is not a whole number from 1 to 60000'],
    [{ snapshotEntries: '0' }, '--snapshot-entries: "0" is not a whole number'],
    [{ snapshotBytes: '12' }, '--snapshot-bytes: "12" is not a usable size; use 1kb to 1024gb'],
    [{ maxRequestBytes: '1gb' }, '--max-request-bytes: "1gb" is not a usable size; use 1kb to 128mb'],
    [{ maxRequestBytes: '1tb' }, '--max-request-bytes: "1tb" is not a usable size'],
    [{ heartbeatMs: '9' }, '--heartbeat: "9" is not a whole number from 10 to 1000'],
    [{ logLevel: 'loud' }, '--log-level: "loud" is not known; use one of trace, debug'],
    [{ announce: 'example.org' }, '--announce: "example.org" is not host:port'],
    [{ announce: 'example.org:0' }, '--announce: "example.org:0" is not host:port'],
    [{ announce: '::1:6380' }, '--announce: "::1:6380" is not host:port'],
  ])('%o is refused with the remedy', (flags, message) => {
    expect(refusal(flags)).toContain(message);
  });

  test('sizes take the units of Redis', () => {
    expect(readConfig({ maxRequestBytes: '4096' }, {}).maxRequestBytes).toBe(4096);
    expect(readConfig({ maxRequestBytes: '4kb' }, {}).maxRequestBytes).toBe(4096);
    expect(readConfig({ maxRequestBytes: '2MB' }, {}).maxRequestBytes).toBe(2 ** 21);
  });

  test('an announced address may be a name, an IPv4 or a bracketed IPv6 address', () => {
    expect(readConfig({ announce: 'db.example.org:6380' }, {}).announce).toEqual({
      host: 'db.example.org',
      port: 6380,
    });
    expect(readConfig({ announce: '[::1]:6380' }, {}).announce).toEqual({ host: '::1', port: 6380 });
  });

  test('a refused secret is not shown', () => {
    const message = refusal({ password: 'has a space' });
    expect(message).toContain('--password: the value given is not usable as a secret');
    expect(message).not.toContain('has a space');
  });
});

describe('peers', () => {
  test('the HTTP port follows from the URL of this node', () => {
    const config = readConfig({ id: 'n2', peers: THREE }, {});
    expect(config.httpPort).toBe(7002);
    expect(config.peers?.map(({ id, url }) => `${id} ${url}`)).toEqual([
      'n1 http://127.0.0.1:7001',
      'n2 http://127.0.0.1:7002',
      'n3 http://127.0.0.1:7003',
    ]);
    expect(readConfig({ id: 'n2', peers: THREE, httpPort: '9000' }, {}).httpPort).toBe(9000);
    expect(readConfig({ id: 'a', peers: 'a=http://a.example' }, {}).httpPort).toBe(80);
  });

  test.each<[string, string]>([
    ['n2=http://127.0.0.1:1', 'names n2 but not this node, n1; add n1=<url> or correct --id'],
    ['n1=http://a:1,n1=http://b:1', 'names node n1 twice'],
    ['n1=http://a:1,n2=http://a:1/', 'gives n1 and n2 the same URL http://a:1'],
    ['n1=https://a:1', 'has no http:// URL'],
    ['n1=a:1', 'has no http:// URL'],
    ['n1=http://u:p@a:1', 'has no http:// URL'],
    ['n1=http://a:1/x', 'has no http:// URL, without a path, for node n1'],
    ['http://a:1', 'has the part "http://a:1" without a valid node id'],
    ['n1=http://a:1,', 'has the part "" without a valid node id'],
    [Array.from({ length: 10 }, (_, at) => `n${at}=http://a:${at + 1}`).join(), 'names 10 nodes'],
  ])('%s is refused', (peers, message) => {
    const refused = refusal({ peers });
    expect(refused).toContain('--peers: ');
    expect(refused).toContain(message);
  });
});

describe('joining', () => {
  test('a new node names a member, and where it is itself', () => {
    const flags: Flags = { id: 'n4', join: 'http://a:7380/', httpUrl: 'http://b:7384', replace: 'n2' };
    expect(readConfig(flags, {})).toMatchObject({
      join: 'http://a:7380',
      httpUrl: 'http://b:7384',
      httpPort: 7384,
      replace: 'n2',
    });
  });

  test.each<[string, Flags, string]>([
    ['a path', { join: 'http://a:1/x' }, '--join: "http://a:1/x" is not an http:// URL'],
    ['founding, too', { join: 'http://a:1', peers: THREE }, '--join: --peers is given too'],
    ['a learner that replaces', { join: 'http://a:1', learner: true, replace: 'n2' }, '--learner: a learner'],
    ['no cluster for a learner', { learner: true }, '--learner: only says how to --join'],
    ['no cluster for a replacement', { replace: 'n2' }, '--replace: only says how to --join'],
    [
      'another URL than in --peers',
      { peers: THREE, httpUrl: 'http://a:1' },
      '--http-url: http://a:1 is not the URL',
    ],
    [
      'no address',
      { join: 'http://a:1', host: '0.0.0.0', insecure: true },
      "the other nodes can't reach 0.0.0.0",
    ],
    [
      'no address for clients',
      { join: 'http://a:1', host: '0.0.0.0', insecure: true, httpUrl: 'http://b:1' },
      'say with --announce',
    ],
  ])('%s is refused', (_, flags, message) => {
    expect(refusal(flags)).toContain(message);
  });
});

describe('settings together', () => {
  test('a client port near the end of the range asks for an HTTP port', () => {
    expect(refusal({ port: '65000' })).toContain('give --http-port');
    expect(readConfig({ port: '65000', httpPort: '7000' }, {}).httpPort).toBe(7000);
    expect(refusal({ port: '7000', httpPort: '7000' })).toContain(
      '--http-port: 7000 is also the client port',
    );
  });

  test('port 0 makes both ports free ones', () => {
    expect(readConfig({ port: '0' }, {})).toMatchObject({ port: 0, httpPort: 0 });
  });

  test.each(['127.0.0.1', '127.8.0.1', '::1', 'localhost'])('%s needs no secrets', (host) => {
    expect(readConfig({ host }, {}).host).toBe(host);
  });

  test.each(['0.0.0.0', '::', '192.168.1.5', 'db.example.org', '::ffff:127.0.0.1'])(
    '%s needs a cluster secret and a password, or --insecure',
    (host) => {
      expect(refusal({ host })).toContain(
        'no cluster-secret and no password; give --cluster-secret and --password',
      );
      expect(refusal({ host, password: 'p' })).toContain('no cluster-secret; give --cluster-secret,');
      expect(refusal({ host, clusterSecret: 's' })).toContain('no password; give --password,');
      expect(readConfig({ host, clusterSecret: 's', password: 'p' }, {}).host).toBe(host);
      expect(readConfig({ host, insecure: true }, {}).host).toBe(host);
    },
  );

  test('a cluster node bound to every address must announce one', () => {
    const flags: Flags = { peers: THREE, host: '0.0.0.0', insecure: true };
    expect(refusal(flags)).toContain("--host: clients can't be redirected to 0.0.0.0; say with --announce");
    expect(readConfig({ ...flags, announce: 'a:1' }, {}).announce).toEqual({ host: 'a', port: 1 });
  });

  test('an IPv6 address is bracketed in a URL', () => {
    expect(httpUrlOf({ host: '::1', port: 7380 })).toBe('http://[::1]:7380');
  });
});

describe('warnings', () => {
  test('the defaults give none', () => {
    expect(warningsOf(readConfig({}, {}))).toEqual([]);
  });

  test('an open address without secrets is named, one with both is not', () => {
    const open = readConfig({ host: '0.0.0.0', insecure: true }, {});
    expect(warningsOf(open)).toEqual([
      '--insecure: anyone who reaches 0.0.0.0 can read and write, because there is no cluster-secret and no password',
    ]);
    const guarded = readConfig({ host: '0.0.0.0', insecure: true, password: 'p', clusterSecret: 's' }, {});
    expect(warningsOf(guarded)).toEqual([]);
  });

  test('a weaker fsync is named', () => {
    expect(warningsOf(readConfig({ fsync: 'never' }, {}))[0]).toContain(
      '--fsync never: acknowledged writes can be lost',
    );
  });
});
