import { expect, test } from 'vitest';
import { drawDiagram } from './diagram.ts';
import { playScript } from './script.ts';

const { records } = playScript(`nodes 2
elect n1
drop append to n2
write n1 a
run 5ms
pass all
crash n2
`);

test('messages are arrows, a lost one ends short, a node that is down has a broken line', () => {
  const lines = drawDiagram(records, 'text', 6)
    .split('\n')
    .map((line) => line.replace(/^\s*[\d.]+  /, ''));
  const width = lines[0]!.indexOf('n2') - lines[0]!.indexOf('n1');
  const column = (text: string): string => text.padEnd(width);
  expect(lines.at(-1)).toBe(`${column('│')}┊ crashes`);
  expect(lines.find((line) => line.includes('✗'))).toMatch(/^├─+ append 3@2 after 2@2 commit 2 ─+✗  │$/);
  expect(lines).toContain(`${column('│ takes write 0 as 3@2')}│`);
  expect(lines).toContain(`${column('│ disk ◂ 3@2')}│`);
});

test('it says how much of the beginning is missing', () => {
  expect(drawDiagram(records, 'text', 3)).toMatch(/\(\d+ earlier rows are not shown\)/);
});

test('as Mermaid', () => {
  const lines = drawDiagram(records, 'mermaid', 100).split('\n');
  expect(lines.slice(0, 3)).toEqual(['sequenceDiagram', '  participant n1', '  participant n2']);
  expect(lines.some((line) => line.startsWith('  n1->>n2: vote? term 2 log 1@1 ['))).toBe(true);
  expect(lines.some((line) => line.startsWith('  n1-xn2: append 3@2 '))).toBe(true);
  expect(lines.at(-1)).toMatch(/^ {2}Note over n2: crashes/);
});
