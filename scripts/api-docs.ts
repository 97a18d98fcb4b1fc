/**
 * Writes `docs/api.md`, the reference of the library, from the comments of what `src/embedded/index.ts` exports, in its order;
 * with `--check`, fails when the file is not what it would write. Either way it fails when something exported has no comment.
 *
 * The sources are read by the compiler that is there anyway. The interface that it has for this may still change: its version is
 * pinned, and nothing but this page depends on it.
 */
import { join } from 'node:path';
import type { FunctionLikeBase, Node, ParameterDeclaration } from 'typescript/unstable/ast';
import {
  isBindingPattern,
  isClassDeclaration,
  isFunctionDeclaration,
  isGetAccessorDeclaration,
  isInterfaceDeclaration,
  isMethodDeclaration,
  isPropertyDeclaration,
  isPropertySignatureDeclaration,
  isTypeAliasDeclaration,
} from 'typescript/unstable/ast/is';
import { API } from 'typescript/unstable/sync';
import { writeOrCheck } from './generated.ts';

const ROOT = join(import.meta.dirname, '..');
const HEAD = `# API of the library

<!-- Written by scripts/api-docs.ts from the comments in src/embedded: change them there, then run npm run docs. -->

All that \`import … from 'kvorum'\` gives. [The library](library.md) tells how it goes together, and what is promised.

`;

/** What the package exports, by name, in the order of the index. */
type Exports = ReadonlyMap<string, Node>;

/** The whole text of the page. Throws when a comment is missing. */
export function apiDocs(): string {
  const api = new API({ cwd: ROOT });
  try {
    const exported = exportsOf(api);
    const sections = [...exported].map(([name, node]) => section(name, node));
    const contents = [...exported.keys()].map((name) => `[${name}](#${name.toLowerCase()})`).join(' · ');
    return linked(`${HEAD}${contents}\n${sections.join('')}`, exported);
  } finally {
    api.close();
  }
}

function exportsOf(api: API): Exports {
  const config = join(ROOT, 'tsconfig.json');
  const project = api.updateSnapshot({ openProjects: [config] }).getProject(config);
  const index = project?.program.getSourceFile(join(ROOT, 'src/embedded/index.ts'));
  const module = index && project?.checker.getSymbolAtLocation(index);
  if (project === undefined || module === undefined)
    throw new Error(`${config} has no src/embedded/index.ts`);
  const { checker } = project;
  return new Map(
    checker.getExportsOfModule(module).map((symbol) => {
      const node = checker.getAliasedSymbol(symbol).declarations[0]?.resolve();
      if (node === undefined) throw new Error(`${symbol.name} is exported and declared nowhere`);
      return [symbol.name, node];
    }),
  );
}

function section(name: string, node: Node): string {
  return `\n## ${name}\n\n${body(name, node)}`;
}

function body(name: string, node: Node): string {
  const text = commentOf(node, name);
  if (isFunctionDeclaration(node)) return `${code(`${name}${signature(node)}`)}${text}\n`;
  if (isTypeAliasDeclaration(node)) {
    const type = node.type.getText();
    return `${code(`type ${name} =${type.startsWith('|') ? '\n  ' : ' '}${type}`)}${text}\n`;
  }
  if (isInterfaceDeclaration(node))
    return `${text}\n\n| | type | |\n|---|---|---|\n${node.members.map((member) => row(name, member)).join('')}`;
  if (!isClassDeclaration(node)) throw new Error(`${name}: a kind of export that this page has no words for`);
  const inherited = (node.heritageClauses ?? []).map((clause) => clause.getText());
  const heritage = inherited
    .filter((clause) => !isHidden(clause, node))
    .map((clause) => ` ${clause}`)
    .join('');
  return `${code(`class ${name}${heritage}`)}${text}\n${items(name, node.members)}`;
}

/** Whether the clause names a class of the same file that is not exported. */
function isHidden(clause: string, node: Node): boolean {
  const base = /^extends (\w+)$/.exec(clause)?.[1];
  return (
    base !== undefined && new RegExp(`^(?:abstract )?class ${base}\\b`, 'm').test(node.getSourceFile().text)
  );
}

/** The members of a class that are for callers, under the headings that its source has for them. */
function items(owner: string, members: readonly Node[]): string {
  let heading = '';
  let text = '';
  for (const member of members) {
    const title = /^\s*\/\/ --- (.*?) -+$/m.exec(triviaOf(member))?.[1];
    if (title !== undefined) heading = `\n### ${title}\n`;
    const declared = declaration(member);
    if (declared === null) continue;
    const comment = commentOf(member, `${owner}.${declared}`);
    text += `${heading}\n- \`${declared}\`\n\n${comment.replaceAll(/^(?=.)/gm, '  ')}\n`;
    heading = '';
  }
  return text;
}

/** A property of an interface. */
function row(owner: string, member: Node): string {
  if (!isPropertySignatureDeclaration(member))
    throw new Error(`${owner}: only properties are expected in it`);
  const name = member.name.getText();
  const type = oneLine(member.type.getText());
  return `| \`${name}\` | \`${cell(type)}\` | ${cell(oneLine(commentOf(member, `${owner}.${name}`)))} |\n`;
}

/** How a member is used, on one line; null when it is not for callers, or the body of an overload. */
function declaration(member: Node): string | null {
  if (/\*\s*@internal\b/.test(triviaOf(member)) || /^(?:private|protected)\b/.test(member.getText()))
    return null;
  if (isMethodDeclaration(member)) {
    const name = member.name.getText();
    const overloaded = member.body !== undefined && isOverloaded(member, name);
    return name.startsWith('#') || overloaded ? null : `${name}${signature(member)}`;
  }
  if (isGetAccessorDeclaration(member)) return `readonly ${member.name.getText()}${typeOf(member.type)}`;
  if (!isPropertyDeclaration(member)) return null;
  const name = member.name.getText();
  if (name.startsWith('#')) return null;
  return `readonly ${name}${member.type === undefined ? ` = ${member.initializer?.getText()}` : typeOf(member.type)}`;
}

function isOverloaded(member: Node, name: string): boolean {
  if (!isClassDeclaration(member.parent)) return false;
  return member.parent.members.some(
    (other) => isMethodDeclaration(other) && other.body === undefined && other.name.getText() === name,
  );
}

function signature(node: FunctionLikeBase): string {
  const parameters = node.parameters.map(parameter).join(', ');
  const types = node.typeParameters?.map((each) => each.getText()).join(', ');
  return `${types === undefined ? '' : `<${types}>`}(${parameters})${typeOf(node.type)}`;
}

/** What is taken apart in the declaration is one object for the caller. */
function parameter(node: ParameterDeclaration): string {
  if (!isBindingPattern(node.name)) return oneLine(node.getText());
  return `options${node.initializer === undefined ? '' : '?'}${typeOf(node.type)}`;
}

function typeOf(node: Node | undefined): string {
  return node === undefined ? '' : `: ${oneLine(node.getText())}`;
}

/** The text of the comment before it. */
function commentOf(node: Node, name: string): string {
  const comment = [...triviaOf(node).matchAll(/\/\*\*(.*?)\*\//gs)].at(-1)?.[1];
  if (comment === undefined) throw new Error(`${name}: what is exported needs a comment, for docs/api.md`);
  return comment.replaceAll(/^\s*\* ?/gm, '').trim();
}

/** What stands between the node and what is before it: comments and blanks. */
function triviaOf(node: Node): string {
  return node.getFullText().slice(0, node.getStart() - node.getFullStart());
}

function code(text: string): string {
  return `\`\`\`ts\n${text}\n\`\`\`\n\n`;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** References to what has a section of its own become links; others are code. */
function linked(text: string, exported: Exports): string {
  return text
    .replaceAll(/\{@link (\w+)\}/g, '`$1`')
    .replaceAll(/`(\w+)`/g, (found, name: string) =>
      exported.has(name) ? `[${found}](#${name.toLowerCase()})` : found,
    );
}

if (import.meta.main) writeOrCheck('api.md', apiDocs());
