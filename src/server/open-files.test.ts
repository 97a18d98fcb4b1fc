import { expect, test } from 'vitest';
import { clientsMax, httpConnectionsMax, openFilesMax } from './open-files.ts';

test('clients leave files for the log and the other nodes', () => {
  expect(clientsMax(10_000, Infinity)).toBe(10_000);
  expect(clientsMax(10_000, 10_256)).toBe(10_000);
  expect(clientsMax(10_000, 10_255)).toBe(9_999);
  expect(clientsMax(10_000, 1024)).toBe(768);
  expect(clientsMax(10_000, 100)).toBe(50);
  expect(clientsMax(20, 100)).toBe(20);
  expect(httpConnectionsMax(768, 1024)).toBe(85);
  expect(httpConnectionsMax(50, 100)).toBe(16);
});

test('the limit of this process is known', () => {
  expect(openFilesMax()).toBeGreaterThan(20);
});
