import { defineConfig, type ViteUserConfig } from 'vitest/config';

const setupFiles = ['test/fast-check.ts'];

/** Tests live beside what they test (`src`, unit) or in a folder per kind of environment (`test`). */
const config: ViteUserConfig = defineConfig({
  test: {
    // How long something may take says what the machine does besides.
    expect: { poll: { timeout: 15_000 } },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'test/unit/**/*.test.ts'],
          setupFiles,
          testTimeout: 30_000,
        },
      },
      { test: { name: 'sim', include: ['test/sim/**/*.test.ts'], setupFiles, testTimeout: 120_000 } },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          setupFiles,
          testTimeout: 120_000,
          hookTimeout: 60_000,
          maxWorkers: 1,
          fileParallelism: false,
        },
      },
      {
        // Containers: an image is built first, and one cluster at a time has the machine to itself.
        test: {
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts'],
          globalSetup: ['test/cluster/setup.ts'],
          // Its own helper container would have to be pulled, and the tests clean up by themselves.
          env: { TESTCONTAINERS_RYUK_DISABLED: 'true', TESTCONTAINERS_HOST_OVERRIDE: '127.0.0.1' },
          testTimeout: 180_000,
          hookTimeout: 300_000,
          maxWorkers: 1,
          fileParallelism: false,
        },
      },
    ],
  },
});

export default config;
