/** `kvorum cluster …`: an operator's words for the membership API of a running cluster. */
import type { ClusterView } from '../server/driver.ts';
import { JOIN_PATH, type Waiting } from '../server/joining.ts';
import { CHANGE_MS_MAX, CLUSTER_PATH, MEMBERS_PATH } from '../server/membership.ts';
import { askNode, errorOf, NoAnswer, type NodeAnswer, secretHeaders } from '../server/node-request.ts';
import { CommandError } from './command-error.ts';

/** A member passes the question on, and the leader takes up to `CHANGE_MS_MAX`. */
const ANSWER_MS_MAX: number = 2 * CHANGE_MS_MAX;

/** The cluster to talk to. */
export interface Target {
  /** HTTP address of any member. */
  readonly url: string;
  readonly secret: string | null;
}

/**
 * Adds the node that waits at `nodeUrl` (`kvorum serve --join wait`). It is told about the cluster only when the cluster
 * has agreed to it; doing it all again after an interruption does no harm.
 */
export async function add(
  target: Target,
  nodeUrl: string,
  { learner, replaces }: { readonly learner: boolean; readonly replaces: string | null },
): Promise<void> {
  const node = (await ask(target, 'GET', JOIN_PATH, undefined, nodeUrl)) as Waiting;
  const body = { ...node, learner, ...(replaces === null ? {} : { replaces }) };
  const view = (await ask(target, 'POST', MEMBERS_PATH, body)) as ClusterView;
  const via = view.members.find(({ id }) => id === view.leader)?.url ?? target.url;
  await ask(target, 'POST', JOIN_PATH, { via }, nodeUrl);
  const next = learner
    ? `give it a vote with: kvorum cluster promote ${node.id}`
    : 'it becomes a voter by itself when it has caught up';
  console.log(`${node.id} is added as a learner; ${next}\n${describe(view)}`);
}

export async function remove(target: Target, id: string): Promise<void> {
  const view = (await ask(target, 'DELETE', `${MEMBERS_PATH}/${encodeURIComponent(id)}`)) as ClusterView;
  console.log(`${id} is removed; stop it, its id is never used again\n${describe(view)}`);
}

export async function promote(target: Target, id: string, replaces: string | null): Promise<void> {
  const path = `${MEMBERS_PATH}/${encodeURIComponent(id)}/promote`;
  const view = (await ask(target, 'POST', path, replaces === null ? {} : { replaces })) as ClusterView;
  console.log(`${id} is a voter\n${describe(view)}`);
}

/** `to`: `null` leaves the choice to the leader. */
export async function transfer(target: Target, to: string | null): Promise<void> {
  await ask(target, 'POST', `${CLUSTER_PATH}/transfer`, to === null ? {} : { to });
  console.log(to === null ? 'another node leads now' : `${to} leads now`);
}

/** Who the members are, in a line. */
export function describe({ configuration }: Pick<ClusterView, 'configuration'>): string {
  const list = (members: readonly { readonly id: string }[]): string =>
    members.map(({ id }) => id).join(', ');
  const { voters, learners } = configuration;
  return `voters: ${list(voters)}${learners.length === 0 ? '' : `; learners: ${list(learners)}`}`;
}

/** Throws a {@link CommandError} unless the answer is a good one. `url`: another node than the target's. */
async function ask(
  { url: member, secret }: Target,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: unknown,
  url: string = member,
): Promise<unknown> {
  let answer: NodeAnswer;
  try {
    const headers = secretHeaders(secret);
    answer = await askNode(url, { method, path, body, headers, timeoutMs: ANSWER_MS_MAX });
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    const doubt =
      error.unsent || method === 'GET' ? '' : '; whether it was done is not known, look at the status';
    throw new CommandError(`${url}: ${error.message}${doubt}`);
  }
  if (answer.status !== 200) throw new CommandError(`${url}: ${errorOf(answer).message}`);
  return answer.body;
}
