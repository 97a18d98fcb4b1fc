/**
 * Changes of who takes part (thesis 4). One at a time, each a configuration entry that is in force as soon as it is
 * appended. Learners come, go and move with one entry. Every change of the voters, of a single one as well, goes through
 * joint consensus (thesis 4.3):
 *
 * ```
 *   voters a b c ──▶ voters a b d, outgoing a b c ──▶ voters a b d, removed + c
 *                    both majorities decide           appended when the joint entry is committed
 * ```
 *
 * What is under way can be told from the log alone: an uncommitted configuration, or one with `outgoing` voters. So a new
 * leader finishes what the last one began without being told. Only the answer to whoever asked lives in the leader.
 *
 * - A joiner is always a learner first. With `promote` the leader makes it a voter by itself once it has caught up.
 * - A removed leader leads on until the last entry of the change is committed, without counting itself, then hands over.
 * - A removed follower is not sent the last entry: until that is committed it can still be needed as an outgoing voter,
 *   and it is the better one without it. Afterwards every member's transport tells it that it was removed.
 */
import { encodeConfiguration, isValidId, membersOf } from './configuration.ts';
import { freshProgress, isHealthy, leave } from './leadership.ts';
import { entryBytes } from './log.ts';
import { appendOwn, broadcastAppends } from './replication.ts';
import type { Leader, Node } from './state.ts';
import {
  type Configuration,
  EntryType,
  type Learner,
  type Member,
  type MembershipChange,
  type MembershipRejection,
  type NodeId,
} from './types.ts';

/** More voters make every write slower and hardly any cluster safer: five survive two failures, nine four. */
export const VOTERS_MAX = 9;
/** Each costs the leader the bandwidth of a follower. */
export const LEARNERS_MAX = 9;
/** Members and former members together: every configuration entry and snapshot names them all, 64 bytes each. */
export const IDS_MAX = 4096;
/** Characters of a member's URL. */
export const URL_MAX = 256;

/** Printable ASCII: the address travels in a header. */
const URL_SHAPE = /^https?:\/\/[\x21-\x2e\x30-\x7e]+\/?$/;
const INCARNATION_SHAPE = /^[0-9A-Za-z]{1,64}$/;

/** What is to be appended, or why nothing is. */
type Plan =
  | { readonly type: 'append'; readonly configuration: Configuration }
  /** It is so already. */
  | { readonly type: 'unchanged' }
  | { readonly type: 'reject'; readonly reason: MembershipRejection; readonly message: string };

const UNCHANGED: Plan = { type: 'unchanged' };

/* ---- what is asked ---------------------------------------------------------------------------------------------- */

export function onChangeMembership(node: Node, id: number, change: MembershipChange): void {
  const { role } = node;
  const plan =
    role.name === 'leader' ? (planNow(node, role) ?? planOf(node, role, change)) : notLeading(node);
  switch (plan.type) {
    case 'reject':
      node.effects.push({ type: 'membershipRejected', id, reason: plan.reason, message: plan.message });
      break;
    case 'unchanged':
      node.effects.push({ type: 'membershipChanged', id, configuration: node.log.configuration });
      break;
    case 'append':
      if (role.name !== 'leader') break;
      role.membershipRequest = id;
      append(node, role, plan.configuration);
      break;
  }
}

function notLeading({ id, leader }: Node): Plan {
  const where = leader === null ? 'there is no leader at the moment; ask again' : `ask ${leader}, which does`;
  return reject('notLeader', `${id} does not lead: ${where}`);
}

/** Why nothing can be changed at this moment; `null` if something can. */
function planNow(node: Node, role: Leader): Plan | null {
  const { log, commitIndex } = node;
  // With joint consensus this is no matter of safety, as it is with changes of single voters: every change needs a majority
  // of the voters before. But a leader that has committed nothing may be one that can't, and a change can't be taken back.
  if (commitIndex < role.noopIndex)
    return reject('notReady', `${node.id} has just been elected and has committed nothing yet; ask again`);
  if (log.configurationIndex > commitIndex) {
    return reject(
      'pending',
      `another change is under way (entry ${log.configurationIndex}); ask again when it is done`,
    );
  }
  if (role.transfer !== null)
    return reject(
      'pending',
      `${node.id} is handing its leadership to ${role.transfer.to}; ask the new leader`,
    );
  if (node.diskLow)
    return reject(
      'notReady',
      `the disk of the leader ${node.id} is nearly full; free space there, then ask again`,
    );
  return null;
}

function planOf(node: Node, role: Leader, change: MembershipChange): Plan {
  const { configuration } = node.log;
  switch (change.type) {
    case 'addLearner':
      return planLearner(configuration, change.learner);
    case 'promote':
      return planPromotion(node, role, change.id, change.replaces);
    case 'remove':
      return planRemoval(node, role, change.id);
    case 'setUrl':
      return planUrl(configuration, change.id, change.url);
  }
}

function planLearner(configuration: Configuration, learner: Learner): Plan {
  const { id, incarnation, promote, replaces } = learner;
  const { voters, learners, removed } = configuration;
  const known = memberOf(configuration, id);
  if (known !== undefined) {
    if (known.incarnation === incarnation) return UNCHANGED;
    return reject(
      'invalid',
      `${id} is a member with another data directory (${known.incarnation}, this one is ${incarnation}); if the old ` +
        `directory is lost, remove ${id} and add this node under a new id`,
    );
  }
  if (removed.includes(id))
    return reject(
      'invalid',
      `${id} was removed from this cluster, and an id is never used again; choose another`,
    );
  if (!isValidId(id))
    return reject(
      'invalid',
      `"${id}" is no node id; use 1 to 64 letters, digits, dots, dashes or underscores`,
    );
  if (!INCARNATION_SHAPE.test(incarnation))
    return reject('invalid', `"${incarnation}" names no data directory; join with kvorum serve --join`);
  if (learners.length >= LEARNERS_MAX)
    return reject(
      'invalid',
      `there are ${learners.length} learners, the most there can be; promote or remove one first`,
    );
  if (membersOf(configuration).length + removed.length >= IDS_MAX)
    return reject(
      'invalid',
      `${IDS_MAX} ids have been used, the most there can be; move the data into a new cluster`,
    );
  const unfit = checkUrl(configuration, id, learner.url) ?? checkReplaced(configuration, id, replaces);
  if (unfit !== null) return unfit;
  if (replaces !== null && !promote)
    return reject(
      'invalid',
      `${id} can only take the place of ${replaces} as a voter; ask for its promotion, too`,
    );
  const rival = learners.find((other) => other.replaces !== null && other.replaces === replaces);
  if (rival !== undefined)
    return reject(
      'invalid',
      `${rival.id} takes the place of ${rival.replaces} already; remove ${rival.id} first`,
    );
  const voting = voters.length + learners.filter((other) => other.promote && other.replaces === null).length;
  if (promote && replaces === null && voting >= VOTERS_MAX) return tooManyVoters(id);
  return appending({ ...configuration, learners: [...learners, learner] });
}

function planPromotion(node: Node, role: Leader, id: NodeId, replaces: NodeId | null): Plan {
  const { configuration } = node.log;
  const { voters, learners } = configuration;
  if (has(voters, id)) return UNCHANGED;
  const learner = learners.find((one) => one.id === id);
  if (learner === undefined) return unknownMember(configuration, id, 'learner');
  const unfit = checkReplaced(configuration, id, replaces);
  if (unfit !== null) return unfit;
  const member: Member = { id, url: learner.url, incarnation: learner.incarnation };
  const next = [...voters.filter((voter) => voter.id !== replaces), member];
  if (next.length > VOTERS_MAX) return tooManyVoters(id);
  if (!hasCaughtUp(node, role, id)) {
    const match = role.progress.get(id)?.match ?? 0;
    return reject(
      'notReady',
      `${id} has not caught up: it has the log up to ${match} of ${node.log.lastIndex}; ask again later`,
    );
  }
  return checkVoters(node, role, next) ?? appending(jointly(configuration, next));
}

function planRemoval(node: Node, role: Leader, id: NodeId): Plan {
  const { configuration } = node.log;
  const { voters, learners, removed } = configuration;
  if (removed.includes(id)) return UNCHANGED;
  if (has(learners, id)) {
    const rest = learners.filter((learner) => learner.id !== id);
    return appending({ ...configuration, learners: rest, removed: [...removed, id] });
  }
  if (!has(voters, id)) return unknownMember(configuration, id, 'member');
  const next = voters.filter((voter) => voter.id !== id);
  if (next.length === 0)
    return reject(
      'invalid',
      `${id} is the last voter, and without voters there is no cluster; promote another first`,
    );
  return checkVoters(node, role, next) ?? appending(jointly(configuration, next));
}

function planUrl(configuration: Configuration, id: NodeId, url: string): Plan {
  const member = memberOf(configuration, id);
  if (member === undefined) return unknownMember(configuration, id, 'member');
  if (member.url === url) return UNCHANGED;
  const unfit = checkUrl(configuration, id, url);
  if (unfit !== null) return unfit;
  const moved = <T extends Member>(one: T): T => (one.id === id ? { ...one, url } : one);
  const { voters, learners } = configuration;
  return appending({ ...configuration, voters: voters.map(moved), learners: learners.map(moved) });
}

/* ---- guards ----------------------------------------------------------------------------------------------------- */

function checkUrl(configuration: Configuration, id: NodeId, url: string): Plan | null {
  if (url.length > URL_MAX || !URL_SHAPE.test(url) || !URL.canParse(url))
    return reject(
      'invalid',
      `"${url.slice(0, URL_MAX)}" is no URL of a node; give one like http://10.0.0.4:7001`,
    );
  const other = membersOf(configuration).find((member) => member.url === url && member.id !== id);
  if (other === undefined) return null;
  return reject(
    'invalid',
    `${url} is the address of ${other.id}; give ${id} its own, or change that of ${other.id} first`,
  );
}

function checkReplaced(configuration: Configuration, id: NodeId, replaces: NodeId | null): Plan | null {
  if (replaces === null || has(configuration.voters, replaces)) return null;
  const voters = configuration.voters.map((voter) => voter.id).join(', ');
  return reject(
    'invalid',
    `${id} can't take the place of ${replaces}, which is no voter; the voters are ${voters}`,
  );
}

/** The new voters have to be able to go on at once: a change that is begun can't be taken back. */
function checkVoters(node: Node, role: Leader, voters: readonly Member[]): Plan | null {
  const silent = voters.filter(({ id }) => !isHealthy(node, role, id)).map(({ id }) => id);
  if ((voters.length - silent.length) * 2 > voters.length) return null;
  return reject(
    'unsafe',
    `of the ${voters.length} voters that there would be, ${silent.join(', ')} can't vote or did not answer within ` +
      `${node.options.electionMs} ms, which leaves no majority; bring them back, or remove them first`,
  );
}

function tooManyVoters(id: NodeId): Plan {
  return reject(
    'invalid',
    `${id} would be voter ${VOTERS_MAX + 1}, and there can be ${VOTERS_MAX}; let it take the place of one, or remove one first`,
  );
}

function unknownMember(configuration: Configuration, id: NodeId, what: 'member' | 'learner'): Plan {
  const all = what === 'member' ? membersOf(configuration) : configuration.learners;
  const names = all.map((member) => member.id).join(', ');
  return reject('invalid', `${id} is no ${what}; ${names === '' ? 'there is none' : `there are ${names}`}`);
}

/* ---- carrying it out -------------------------------------------------------------------------------------------- */

/** After every event: whatever the commit index allows next. */
export function advanceMembership(node: Node, role: Leader): void {
  const { log, commitIndex } = node;
  if (log.configurationIndex > commitIndex) return;
  const { configuration } = log;
  if (configuration.outgoing.length > 0) {
    append(node, role, settled(configuration));
    return;
  }
  if (role.membershipRequest !== null) {
    node.effects.push({ type: 'membershipChanged', id: role.membershipRequest, configuration });
    role.membershipRequest = null;
  }
  if (!has(configuration.voters, node.id)) leave(node, role);
}

/** With every tick: notes how far the log goes, and makes a voter of a learner that is to be one and has caught up. */
export function promoteLearners(node: Node, role: Leader): void {
  const { pace, noopIndex } = role;
  if (node.now - pace.at >= node.options.electionMs / 2) {
    pace.earlier = pace.latest;
    pace.latest = node.log.lastIndex;
    pace.at = node.now;
  }
  const waiting = node.log.configuration.learners.filter(({ promote }) => promote);
  if (waiting.length === 0 || node.commitIndex < noopIndex || planNow(node, role) !== null) return;
  for (const { id, replaces } of waiting) {
    // The voter to be replaced may have been removed meanwhile.
    const voter = replaces !== null && has(node.log.configuration.voters, replaces) ? replaces : null;
    const plan = planPromotion(node, role, id, voter);
    if (plan.type !== 'append') continue;
    append(node, role, plan.configuration);
    return;
  }
}

/**
 * A learner has caught up when it answers and has everything that was in the log between a half and a whole election
 * timeout ago: should it be needed at once, the wait is short (thesis 4.2.1). The mark moves with the log, so that a steady
 * load keeps nobody out that can follow it.
 */
function hasCaughtUp(node: Node, role: Leader, id: NodeId): boolean {
  return isHealthy(node, role, id) && (role.progress.get(id)?.match ?? 0) >= role.pace.earlier;
}

function append(node: Node, role: Leader, configuration: Configuration): void {
  const entry = appendOwn(node, EntryType.configuration, encodeConfiguration(configuration));
  role.uncommittedBytes += entryBytes(entry);
  const members = new Set(membersOf(configuration).map(({ id }) => id));
  for (const id of role.progress.keys()) if (!members.has(id)) role.progress.delete(id);
  for (const id of members) {
    if (id !== node.id && !role.progress.has(id)) role.progress.set(id, freshProgress(node));
  }
  broadcastAppends(node, role);
}

/** From the voters there are to `voters`, with both deciding on the way. */
function jointly({ voters, learners, removed }: Configuration, next: readonly Member[]): Configuration {
  return {
    voters: next,
    outgoing: voters,
    learners: learners.filter(({ id }) => !has(next, id)),
    removed,
  };
}

/** The end of a joint configuration. */
function settled({ voters, outgoing, learners, removed }: Configuration): Configuration {
  const left = outgoing.filter(({ id }) => !has(voters, id)).map(({ id }) => id);
  return {
    voters,
    outgoing: [],
    // Whoever was to take the place of one that left has no place to take any more.
    learners: learners.map((one) =>
      left.some((id) => id === one.replaces) ? { ...one, replaces: null } : one,
    ),
    removed: [...removed, ...left],
  };
}

function appending(configuration: Configuration): Plan {
  return { type: 'append', configuration };
}

function reject(reason: MembershipRejection, message: string): Plan {
  return { type: 'reject', reason, message };
}

function memberOf(configuration: Configuration, id: NodeId): Member | undefined {
  return membersOf(configuration).find((member) => member.id === id);
}

function has(members: readonly Member[], id: NodeId): boolean {
  return members.some((member) => member.id === id);
}
