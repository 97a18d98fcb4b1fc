/** Places and their commands; what they answer in detail is compared with Redis elsewhere. */
import { describe, expect, test } from 'vitest';
import { keysOf } from '../command.ts';
import { WRONG_TYPE } from '../errors.ts';
import { call, eventsOf, Harness, type Reply, restored, snapshotOf } from '../testing/harness.ts';

function sicily(): Harness {
  const harness = new Harness();
  harness.run('GEOADD', 'sicily', '13.361389', '38.115556', 'Palermo', '15.087269', '37.502669', 'Catania');
  harness.run('SET', 'string', 'value');
  return harness;
}

test('places are scores', () => {
  const harness = sicily();
  expect(harness.run('ZSCORE', 'sicily', 'Palermo')).toBe(3_479_099_956_230_698);
  expect(harness.run('GEOPOS', 'sicily', 'Palermo', 'nobody')).toEqual([
    [13.361389338970184, 38.1155563954963],
    null,
  ]);
  expect(harness.run('GEOHASH', 'sicily', 'Catania', 'nobody')).toEqual(['sqdtr74hyu0', null]);
  expect(harness.run('GEODIST', 'sicily', 'Palermo', 'Catania')).toBe('166274.1516');
  expect(harness.run('GEODIST', 'sicily', 'Palermo', 'Catania', 'KM')).toBe('166.2742');
  expect(harness.run('GEODIST', 'sicily', 'Palermo', 'nobody')).toBe(null);
  expect(harness.run('GEOPOS', 'nothing', 'Palermo')).toEqual([null]);
});

test('GEOADD has NX, XX and CH, and refuses what is not on the map', () => {
  const harness = sicily();
  const add = (...args: string[]): Reply => harness.run('GEOADD', 'sicily', ...args);
  expect(add('NX', '0', '0', 'Palermo')).toBe(0);
  expect(add('XX', '0', '0', 'nobody')).toBe(0);
  expect(add('CH', '13', '38', 'Palermo', '1', '1', 'new')).toBe(2);
  const version = harness.store.version('sicily');
  expect(add('CH', '13', '38', 'Palermo')).toBe(0);
  expect(add('0', '0', 'new', '181.0078125', '-0', 'far')).toEqual(
    new Error('ERR invalid longitude,latitude pair 181.007812,-0.000000'),
  );
  expect(add('0', '0', 'new', '0')).toEqual(new Error('ERR syntax error'));
  expect(add('NX', 'CH', 'XX')).toEqual(new Error('ERR syntax error'));
  expect(add('x', '1', 'new')).toEqual(new Error('ERR value is not a valid float'));
  expect(harness.store.version('sicily')).toBe(version);
});

describe('searches', () => {
  test('around a place and around a member, in circles and in boxes', () => {
    const harness = sicily();
    const search = (words: string): Reply => harness.run('GEOSEARCH', 'sicily', ...words.split(' '));
    expect(search('FROMLONLAT 15 37 BYRADIUS 200 km ASC')).toEqual(['Catania', 'Palermo']);
    expect(search('FROMLONLAT 15 37 BYRADIUS 200 km DESC')).toEqual(['Palermo', 'Catania']);
    expect(search('FROMLONLAT 15 37 BYRADIUS 200 km COUNT 1')).toEqual(['Catania']);
    expect(search('BYBOX 400 150 km FROMMEMBER Palermo ASC')).toEqual(['Palermo', 'Catania']);
    expect(search('BYBOX 400 100 km FROMMEMBER Palermo')).toEqual(['Palermo']);
    expect(search('FROMLONLAT 15 37 BYRADIUS 100 km WITHDIST WITHHASH WITHCOORD')).toEqual([
      ['Catania', '56.4413', 3_479_447_370_796_909, [15.087267458438873, 37.50266842333162]],
    ]);
    expect(harness.run('GEORADIUS', 'sicily', '15', '37', '200', 'km', 'WITHDIST', 'DESC')).toEqual([
      ['Palermo', '190.4424'],
      ['Catania', '56.4413'],
    ]);
    expect(harness.run('GEORADIUSBYMEMBER_RO', 'sicily', 'Catania', '100', 'mi')).toEqual(['Catania']);
  });

  test('may be stored, with places or with distances for scores', () => {
    const harness = sicily();
    const events = eventsOf(harness.store);
    const stored = (key: string): Reply => harness.run('ZRANGE', key, '0', '-1', 'WITHSCORES');
    const shape = ['FROMLONLAT', '15', '37', 'BYRADIUS', '200', 'km'];
    expect(harness.run('GEOSEARCHSTORE', 'to', 'sicily', ...shape)).toBe(2);
    expect(stored('to')).toEqual(stored('sicily'));
    expect(harness.run('GEOSEARCHSTORE', 'to', 'sicily', ...shape, 'STOREDIST')).toBe(2);
    expect(stored('to')).toEqual([
      ['Catania', 56.441257870158204],
      ['Palermo', 190.44242984775784],
    ]);
    expect(harness.run('GEORADIUSBYMEMBER', 'sicily', 'Catania', '1', 'km', 'STORE', 'string')).toBe(1);
    expect(harness.run('GEORADIUS', 'nothing', '0', '0', '1', 'km', 'STOREDIST', 'to')).toBe(0);
    expect(events).toEqual([
      'n new to',
      'z geosearchstore to',
      'z geosearchstore to',
      'z georadiusstore string',
      'g del to',
    ]);
    expect(harness.follower().digest()).toBe(harness.store.digest());
    expect(restored(snapshotOf(harness.store)).digest()).toBe(harness.store.digest());
  });

  test('tell of the first thing that is wrong', () => {
    const harness = sicily();
    const error = (command: string): string => (harness.run(...command.split(' ')) as Error).message;
    expect(error('GEOSEARCH string FROMLONLAT x y BYRADIUS 1 km')).toBe(WRONG_TYPE);
    expect(error('GEOSEARCH sicily FROMMEMBER nobody BYRADIUS x km')).toMatch(/could not decode/);
    expect(error('GEOSEARCH sicily FROMMEMBER Palermo FROMLONLAT 1 1 ASC')).toBe('ERR syntax error');
    expect(error('GeoSearch sicily BYRADIUS 1 km ASC ASC')).toBe(
      'ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GeoSearch',
    );
    expect(error('GEOSEARCH nothing FROMMEMBER nobody ASC ASC ASC')).toMatch(
      /^ERR exactly one of BYRADIUS and BYBOX/,
    );
    expect(error('GEOSEARCH sicily FROMMEMBER Palermo BYRADIUS -1 parsec')).toMatch(/negative/);
    expect(error('GEOSEARCH sicily FROMMEMBER Palermo BYRADIUS 1 parsec')).toMatch(/unsupported unit/);
    expect(error('GEOSEARCH sicily FROMMEMBER Palermo BYBOX 1 x km')).toBe('ERR need numeric height');
    expect(error('GEOSEARCH sicily FROMMEMBER Palermo BYRADIUS 1 km ANY')).toMatch(/ANY argument requires/);
    expect(error('GEOSEARCH sicily FROMMEMBER Palermo BYRADIUS 1 km STOREDIST')).toBe('ERR syntax error');
    expect(error('GEOSEARCHSTORE to sicily FROMMEMBER Palermo BYRADIUS 1 km WITHDIST')).toMatch(
      /^ERR GEOSEARCHSTORE is not compatible/,
    );
    expect(error('GEORADIUS sicily 1 1 1 km STORE to WITHHASH')).toMatch(/^ERR STORE option in GEORADIUS/);
    expect(error('GEORADIUS_RO sicily 1 1 1 km STORE to')).toBe('ERR syntax error');
    // Without a set there is no middle, and the radius is not looked at.
    expect(harness.run('GEORADIUSBYMEMBER', 'nothing', 'nobody', 'x', 'y')).toEqual([]);
  });
});

test('keys are the set, and where the result is stored', () => {
  const keys = (...args: string[]): string[] => keysOf(call(...args).command, args);
  expect(keys('GEORADIUS', 'k', '1', '2', '3', 'km')).toEqual(['k']);
  expect(keys('GEORADIUS', 'k', '1', '2', '3', 'km', 'store', 'a', 'STOREDIST', 'b')).toEqual([
    'k',
    'a',
    'b',
  ]);
  expect(keys('GEORADIUSBYMEMBER', 'k', 'STORE', '3', 'km', 'STORE', 'a')).toEqual(['k', 'a']);
  expect(keys('GEORADIUSBYMEMBER', 'k', 'm', '3', 'km', 'STORE')).toEqual(['k']);
  expect(keys('GEOSEARCHSTORE', 'to', 'from', 'FROMMEMBER', 'm', 'BYRADIUS', '1', 'km')).toEqual([
    'to',
    'from',
  ]);
});
