/**
 * Configurations and their quorums (thesis 4.3), and their one encoding for log entries, snapshots and messages.
 */
import { type Configuration, type Member, type NodeId, InvariantError } from './types.ts';

const FORMAT = 1;
const ID = /^[A-Za-z0-9_.-]{1,64}$/;

/** Whether `id` can name a node or a group. */
export function isValidId(id: string): boolean {
  return ID.test(id);
}

/** JSON in UTF-8 with a format number: rare, small, and readable in a hex dump. */
export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const { voters, outgoing, learners } = configuration;
  const member = ({ id, url }: Member): Member => ({ id, url });
  return new TextEncoder().encode(
    JSON.stringify({
      format: FORMAT,
      voters: voters.map(member),
      outgoing: outgoing.map(member),
      learners: learners.map(member),
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
  const list = (name: string): Member[] => {
    const members = fields[name];
    if (!Array.isArray(members)) throw new Error(`configuration.${name} is not an array`);
    return members.map((member: unknown) => {
      const { id, url } = (member ?? {}) as Record<string, unknown>;
      if (typeof id !== 'string' || !isValidId(id))
        throw new Error(`configuration.${name} has a bad node id`);
      if (typeof url !== 'string') throw new Error(`configuration.${name} has a node without url`);
      return { id: id as NodeId, url };
    });
  };
  return { voters: list('voters'), outgoing: list('outgoing'), learners: list('learners') };
}

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
