/** Messages and entries in a few words, for diagrams and scripts. */
import type { Configuration, MembershipChange, Message } from '../../src/raft/types.ts';

/** What the message says, without its sender and receiver. */
export function messageWords(message: Message): string {
  switch (message.type) {
    case 'preVoteRequest':
      return `pre-vote? term ${message.term} log ${message.lastIndex}@${message.lastTerm}`;
    case 'preVoteReply':
      return `pre-vote: ${message.granted ? 'yes' : `no, term ${message.term}`}`;
    case 'voteRequest':
      return `vote? term ${message.term} log ${message.lastIndex}@${message.lastTerm}`;
    case 'voteReply':
      return `vote: ${message.granted ? 'yes' : 'no'}, term ${message.term}`;
    case 'append': {
      const { entries, prevIndex, prevTerm, commit } = message;
      const what = entries.length === 0 ? 'append nothing' : `append ${entriesWords(entries)}`;
      return `${what} after ${prevIndex}@${prevTerm} commit ${commit}`;
    }
    case 'appendReply': {
      const { result } = message;
      if (result.ok) return `has ${result.match}`;
      return `lacks ${result.rejected}, look at ${result.hintIndex}@${result.hintTerm}`;
    }
    case 'heartbeat':
      return `heartbeat term ${message.term} commit ${message.commit}${roundWords(message.round)}`;
    case 'heartbeatReply':
      return `heard, term ${message.term}${roundWords(message.round)}`;
    case 'installSnapshot':
      return `snapshot ${message.snapshot.index}@${message.snapshot.term}`;
    case 'installSnapshotReply':
      return `snapshot ${message.index} ${message.status}`;
    case 'timeoutNow':
      return `take over from term ${message.term}`;
    case 'readIndexRequest':
      return 'read index?';
    case 'readIndexReply':
      return message.index === null ? 'no read index' : `read at ${message.index}`;
    case 'recoveryRequest':
      return 'what have I to have?';
    case 'recoveryReply':
      return message.index === null ? 'not known here' : `have ${message.index}`;
  }
}

function roundWords(round: number): string {
  return round === 0 ? '' : ` round ${round}`;
}

/** Runs of one term: `5..7@3 8@4`. */
export function entriesWords(entries: readonly { readonly index: number; readonly term: number }[]): string {
  const runs: { first: number; last: number; term: number }[] = [];
  for (const { index, term } of entries) {
    const run = runs.at(-1);
    if (run !== undefined && run.term === term && run.last + 1 === index) run.last = index;
    else runs.push({ first: index, last: index, term });
  }
  return runs
    .map(({ first, last, term }) => (first === last ? `${first}@${term}` : `${first}..${last}@${term}`))
    .join(' ');
}

/** `n1 n2 n3`, while it changes `n1 n2 n3 / n2 n3 n4`, with learners `n1 + n2`. */
export function configurationWords({ voters, outgoing, learners }: Configuration): string {
  const ids = (members: readonly { readonly id: string }[]): string => members.map(({ id }) => id).join(' ');
  const before = outgoing.length === 0 ? '' : `${ids(outgoing)} / `;
  return `${before}${ids(voters)}${learners.length === 0 ? '' : ` + ${ids(learners)}`}`;
}

/** What an operator asks for, in the words of the scripts. */
export function changeWords(change: MembershipChange): string {
  switch (change.type) {
    case 'addLearner': {
      const { id, promote, replaces } = change.learner;
      return `add ${id}${promote ? ' promote' : ''}${replaces === null ? '' : ` replaces ${replaces}`}`;
    }
    case 'promote':
      return `promote ${change.id}${change.replaces === null ? '' : ` replaces ${change.replaces}`}`;
    case 'remove':
      return `remove ${change.id}`;
    case 'setUrl':
      return `url ${change.id} ${change.url}`;
  }
}
