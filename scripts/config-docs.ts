/**
 * Writes `docs/configuration.md` from the settings table in `src/server/config.ts`; with `--check`, fails when the
 * file is not what it would write.
 */
import { SETTINGS, type Setting, variableOf } from '../src/server/config.ts';
import { writeOrCheck } from './generated.ts';

const HEAD = `# Configuration

<!-- Written by scripts/config-docs.ts from src/server/config.ts: change the table there, then run npm run docs. -->

\`kvorum serve\` takes every setting as a flag or as an environment variable. A flag wins over a variable, a variable
over the default; an empty variable counts as not given. Everything is checked before the node touches its data: a
wrong setting ends the process with exit code 1 and one line that names the setting, the value and the remedy.

| flag | variable | default | meaning |
|---|---|---|---|
`;

const TAIL = `
Sizes are bytes, or bytes with a unit of 1024: \`64kb\`, \`64mb\`, \`1gb\`.

## Secrets

A command line shows in the process list, so give secrets through the environment or through a file:
${Object.values(SETTINGS)
  .filter(({ secret }) => secret === true)
  .map((setting) => `\`${variableOf(setting)}_FILE\``)
  .join(' and ')} name files that hold the secret, as container platforms provide them.

## Which address needs what

A node on a loopback address (the default) needs no secrets. On any other address, \`0.0.0.0\` and \`::\` included, it
starts only with a cluster secret **and** a password, or with \`--insecure\`, and then it says in its log who can get in.
A node of a cluster that binds \`0.0.0.0\` or \`::\` must also \`--announce\` the address at which clients reach it, because
redirects have to name one, and one that joins \`--http-url\`, its address for the other nodes. The traffic itself is not encrypted: put nodes and clients on a network that you trust.

Without a secret the address is all that keeps strangers out, and a web page can get around that by giving its own name a
loopback address. Such a node therefore answers 403 to what a browser sends to the routes between nodes, and to what a page
with a name of its own would change through \`/v1/cluster\`, \`/v1/join\` or (without a password) \`/v1/command\`.

## What must be the same on every node

\`--cluster-secret\`, \`--password\` and \`--heartbeat\`; \`--peers\` on the nodes that found a cluster. The election timeout follows from the heartbeat: ten to
twenty of them, so 1 to 2 seconds with the default.
`;

/** The whole text of the file. */
export function configurationDocs(): string {
  return HEAD + Object.values(SETTINGS).map(row).join('') + TAIL;
}

function row(setting: Setting<unknown>): string {
  const flag = setting.argument === null ? `--${setting.flag}` : `--${setting.flag} ${setting.argument}`;
  const fallback = setting.defaultNote ?? `\`${setting.default ?? ''}\``;
  return `| \`${flag}\` | \`${variableOf(setting)}\` | ${fallback} | ${setting.description} |\n`;
}

if (import.meta.main) writeOrCheck('configuration.md', configurationDocs());
