/** `kvorum status`: what each node of the cluster says about itself, side by side. */
import type { MemberStatus, NodeStatus } from '../server/engine.ts';
import { columns } from './columns.ts';
import type { StateDigest } from '../server/driver.ts';
import { askNode, errorOf, NoAnswer } from '../server/node-request.ts';

/** What `GET /v1/status` answers. */
export interface StatusReply extends NodeStatus {
  readonly version: string;
  readonly uptimeSeconds: number;
}

/** A member as the asked node knows it, with its own answer or the reason why there is none. */
export type NodeReport = {
  readonly id: string;
  readonly url: string;
  readonly client: MemberStatus['client'];
  /** As the asked node has it. */
  readonly learner: boolean;
} & (
  | { readonly reachable: true; readonly status: StatusReply; readonly digest?: StateDigest | null }
  | { readonly reachable: false; readonly reason: string }
);

/** A node that takes longer than this to say how it is counts as unreachable. */
const ANSWER_MS_MAX = 2000;

/** A node that holds much takes its time to look at all of it. */
const DIGEST_MS_MAX = 60_000;

/** Prints the report, with digests if wanted; sets exit code 1 when nobody answers. */
export async function status(url: string, json: boolean, digests = false): Promise<void> {
  const asked = await ask(url);
  const reports = digests ? await Promise.all(asked.map(withDigest)) : asked;
  if (reports.every((report) => !report.reachable)) {
    process.exitCode = 1;
    const reasons = reports.map((report) => (report.reachable ? '' : report.reason)).join(', ');
    console.error(
      `kvorum: no answer from ${url} (${reasons}); give the HTTP address of a running node with --url`,
    );
    return;
  }
  console.log(json ? JSON.stringify({ nodes: reports }, null, 2) : table(reports));
}

/** Asks the node at `url`, then every other member that it names. Never rejects. */
export async function ask(url: string): Promise<NodeReport[]> {
  let own: StatusReply;
  try {
    own = await fetchStatus(url);
  } catch (error) {
    return [{ id: '?', url, client: null, learner: false, reachable: false, reason: reasonOf(error) }];
  }
  return Promise.all(
    own.members.map(async (member): Promise<NodeReport> => {
      const { id, client } = member;
      const learner = member.role === 'learner';
      if (member.self) return { id, url, client, learner, reachable: true, status: own };
      try {
        return {
          id,
          url: member.url,
          client,
          learner,
          reachable: true,
          status: await fetchStatus(member.url),
        };
      } catch (error) {
        return { id, url: member.url, client, learner, reachable: false, reason: reasonOf(error) };
      }
    }),
  );
}

/** `null`: the node did not say. */
async function withDigest(report: NodeReport): Promise<NodeReport> {
  if (!report.reachable) return report;
  try {
    const answer = await askNode(report.url, { method: 'GET', path: '/v1/digest', timeoutMs: DIGEST_MS_MAX });
    return { ...report, digest: answer.status === 200 ? (answer.body as StateDigest) : null };
  } catch (error) {
    if (error instanceof NoAnswer) return { ...report, digest: null };
    throw error;
  }
}

/** The reports as lines of text, one per node, columns aligned. */
export function table(reports: readonly NodeReport[]): string {
  const head = ['NODE', 'ROLE', 'TERM', 'LAST', 'COMMIT', 'APPLIED', 'LAG', 'CLIENT', 'STATE'];
  // The commit index of whoever is furthest: without a leader there still is something to lag behind.
  const commit = Math.max(...reports.map((report) => (report.reachable ? report.status.commitIndex : 0)));
  const rows = reports.map((report) => row(report, commit));
  if (!reports.some((report) => report.reachable && report.digest !== undefined))
    return columns([head, ...rows]).join('\n');
  // Only digests of the same index can be compared.
  const digests = reports.map((report) => {
    const digest = report.reachable ? report.digest : null;
    return digest === null || digest === undefined ? '-' : `${digest.digest}@${digest.index}`;
  });
  return columns([[...head, 'DIGEST'], ...rows.map((cells, at) => [...cells, digests[at] ?? '-'])]).join(
    '\n',
  );
}

function row(report: NodeReport, commit: number): string[] {
  const client = report.client === null ? '-' : `${report.client.host}:${report.client.port}`;
  if (!report.reachable)
    return [report.id, '-', '-', '-', '-', '-', '-', client, `unreachable: ${report.reason}`];
  const { role, term, lastIndex, commitIndex, appliedIndex } = report.status;
  const figures = [term, lastIndex, commitIndex, appliedIndex, Math.max(0, commit - appliedIndex)];
  return [
    report.id,
    report.learner ? 'learner' : role,
    ...figures.map(String),
    client,
    stateOf(report.status),
  ];
}

function stateOf({ state, leader, recovering, diskLow }: StatusReply): string {
  if (state !== 'member') return state;
  const troubles = [
    ...(leader === null ? ['no leader'] : []),
    ...(recovering ? ['recovering'] : []),
    ...(diskLow ? ['disk nearly full'] : []),
  ];
  return troubles.length === 0 ? 'ok' : troubles.join(', ');
}

async function fetchStatus(url: string): Promise<StatusReply> {
  const answer = await askNode(url, { method: 'GET', path: '/v1/status', timeoutMs: ANSWER_MS_MAX });
  if (answer.status !== 200) throw new Error(errorOf(answer).message);
  if (!isStatus(answer.body)) throw new Error('not the status of a kvorum node');
  return answer.body;
}

/** Only what the report needs: a node of another version may say more or less. */
function isStatus(body: unknown): body is StatusReply {
  if (typeof body !== 'object' || body === null) return false;
  const fields = body as Partial<Record<keyof StatusReply, unknown>>;
  const numbers = [fields.term, fields.lastIndex, fields.commitIndex, fields.appliedIndex];
  return numbers.every((value) => typeof value === 'number') && Array.isArray(fields.members);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
