import { expect, test } from 'vitest';
import { playScript } from './script.ts';

const STORY = `# A comment.
nodes 3
elect n1

write n1 a
await a
`;

test('outputs follow their commands, and old ones go', () => {
  const { text } = playScript(`${STORY}    something else\n`);
  expect(text.split('\n')).toEqual([
    '# A comment.',
    'nodes 3',
    'elect n1',
    '    n1 campaigns in term 2',
    '    n1 leads term 2',
    '',
    'write n1 a',
    '    n1 takes: a as 3@2',
    'await a',
    '    acknowledged: a',
    '',
  ]);
  expect(playScript(text).text).toBe(text);
});

test('what fails names the command, the seed and the reason, and shows a diagram', () => {
  expect(() => playScript(`${STORY}expect leader n2\n`)).toThrow(
    /command 7, "expect leader n2", seed 1: the leader: n1, expected n2\ntime in ms/,
  );
});

test('with other seeds only failures are told', () => {
  expect(() => playScript('repeat seeds 5\nnodes 3\nawait leader\nexpect leader n1\n')).toThrow(
    /, seed \d: /,
  );
});

test.each([
  ['elect n1', 'a script begins with nodes N'],
  ['nodes 3\njump n1', 'there is no command jump'],
  ['nodes 3\nrun fast', 'fast is no duration'],
  ['nodes 3\nelect n1 quickly', '"quickly" makes no sense here'],
  ['nodes 3\ncrash', 'a node is missing'],
  ['nodes 3\ncrash n7', 'no host n7'],
  ['nodes 3 appendByte=1', 'there is no option appendByte'],
  ['nodes 3\npass append', 'all is missing'],
  ['nodes 3\nexpect n1 mood good', 'there is no mood'],
])('%j is refused: %s', (text, reason) => {
  expect(() => playScript(text)).toThrow(reason);
});
