/**
 * Configurations and their quorums (thesis 4.3), and their one encoding for log entries, snapshots and messages.
 */
import { type Configuration, type Learner, type Member, type NodeId, InvariantError } from './types.ts';

const FORMAT = 1;
const ID = /^[A-Za-z0-9_.-]{1,64}$/;

/** Whether `id` can name a node or a group. */
export function isValidId(id: string): boolean {
  return ID.test(id);
}

/** JSON in UTF-8 with a format number: rare, small, and readable in a hex dump. */
export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const { voters, outgoing, learners, removed } = configuration;
  const member = ({ id, url, incarnation }: Member): Member => ({ id, url, incarnation });
  const learner = (one: Learner): Learner => ({
    ...member(one),
    promote: one.promote,
    replaces: one.replaces,
  });
  return new TextEncoder().encode(
    JSON.stringify({
      format: FORMAT,
      voters: voters.map(member),
      outgoing: outgoing.map(member),
      learners: learners.map(learner),
      removed,
    }),
  );
}

/** The reverse of {@link encodeConfiguration}. Throws an Error that names what is wrong with the bytes. */
export function decodeConfiguration(bytes: Uint8Array): Configuration {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new Error('configuration is not JSON in UTF-8', { cause: error });
  }
  if (typeof value !== 'object' || value === null) throw new Error('configuration is not an object');
  const fields = value as Record<string, unknown>;
  if (fields['format'] !== FORMAT) {
    throw new Error(`configuration has format ${String(fields['format'])}, this version reads ${FORMAT}`);
  }
  const list = <T>(name: string, decode: (value: unknown, name: string) => T): T[] => {
    const values = fields[name];
    if (!Array.isArray(values)) throw new Error(`configuration.${name} is not an array`);
    return values.map((value: unknown) => decode(value, name));
  };
  return {
    voters: list('voters', decodeMember),
    outgoing: list('outgoing', decodeMember),
    learners: list('learners', decodeLearner),
    removed: list('removed', decodeId),
  };
}

function decodeId(value: unknown, name: string): NodeId {
  if (typeof value !== 'string' || !isValidId(value))
    throw new Error(`configuration.${name} has a bad node id`);
  return value as NodeId;
}

function decodeMember(value: unknown, name: string): Member {
  const { id, url, incarnation } = (value ?? {}) as Record<string, unknown>;
  if (typeof url !== 'string') throw new Error(`configuration.${name} has a node without url`);
  if (typeof incarnation !== 'string')
    throw new Error(`configuration.${name} has a node without incarnation`);
  return { id: decodeId(id, name), url, incarnation };
}

function decodeLearner(value: unknown, name: string): Learner {
  const { promote, replaces } = (value ?? {}) as Record<string, unknown>;
  if (typeof promote !== 'boolean') throw new Error(`configuration.${name} does not say whether to promote`);
  return {
    ...decodeMember(value, name),
    promote,
    replaces: replaces === null ? null : decodeId(replaces, name),
  };
}

/** The configuration of a node that joins, before it has heard from the leader: nobody. */
export const NOBODY: Configuration = { voters: [], outgoing: [], learners: [], removed: [] };

/** Every member once, voters first, in the order of the configuration. */
export function membersOf(configuration: Configuration): Member[] {
  const seen = new Map<NodeId, Member>();
  for (const member of [...configuration.voters, ...configuration.outgoing, ...configuration.learners]) {
    if (!seen.has(member.id)) seen.set(member.id, member);
  }
  return [...seen.values()];
}

export function isVoter(configuration: Configuration, id: NodeId): boolean {
  return has(configuration.voters, id) || has(configuration.outgoing, id);
}

export function isMember(configuration: Configuration, id: NodeId): boolean {
  return isVoter(configuration, id) || has(configuration.learners, id);
}

/**
 * What a node that calls itself `id` with the data directory `incarnation` is to this configuration. An `impostor` has a
 * member's id and another directory: its votes and acknowledgements are forgotten, so it must not take part.
 */
export type Standing = 'member' | 'impostor' | 'removed' | 'stranger';

export function standingOf(configuration: Configuration, id: NodeId, incarnation: string): Standing {
  const member = membersOf(configuration).find((one) => one.id === id);
  if (member !== undefined) return member.incarnation === incarnation ? 'member' : 'impostor';
  return configuration.removed.includes(id) ? 'removed' : 'stranger';
}

function has(members: readonly Member[], id: NodeId): boolean {
  return members.some((member) => member.id === id);
}

/** The outcome of a vote in which some have not spoken yet. */
export type Tally = 'won' | 'lost' | 'open';

/** Counts grants and refusals; both halves of a joint configuration must be won. */
export function tally(configuration: Configuration, votes: ReadonlyMap<NodeId, boolean>): Tally {
  const first = tallyHalf(configuration.voters, votes);
  if (configuration.outgoing.length === 0) return first;
  const second = tallyHalf(configuration.outgoing, votes);
  if (first === 'lost' || second === 'lost') return 'lost';
  return first === 'won' && second === 'won' ? 'won' : 'open';
}

function tallyHalf(voters: readonly Member[], votes: ReadonlyMap<NodeId, boolean>): Tally {
  const majority = majorityOf(voters);
  let granted = 0;
  let refused = 0;
  for (const { id } of voters) {
    const vote = votes.get(id);
    if (vote === true) granted += 1;
    else if (vote === false) refused += 1;
  }
  if (granted >= majority) return 'won';
  return refused > voters.length - majority ? 'lost' : 'open';
}

function majorityOf(voters: readonly Member[]): number {
  return Math.floor(voters.length / 2) + 1;
}

/**
 * The largest value that a quorum has reached: with `value` = match index the commit index, with `value` = the last
 * confirmed read round the round that a quorum confirmed, with `value` = time of the last reply the quorum's age.
 */
export function quorumValue(configuration: Configuration, value: (id: NodeId) => number): number {
  const first = quorumValueHalf(configuration.voters, value);
  if (configuration.outgoing.length === 0) return first;
  return Math.min(first, quorumValueHalf(configuration.outgoing, value));
}

function quorumValueHalf(voters: readonly Member[], value: (id: NodeId) => number): number {
  if (voters.length === 0) throw new InvariantError('a configuration without voters has no quorum');
  const values = voters.map(({ id }) => value(id)).sort((a, b) => b - a);
  return values[majorityOf(voters) - 1] ?? 0;
}
