/** `kvorum status`: what each node of the cluster says about itself, side by side. */
import type { MemberStatus, NodeStatus } from '../server/engine.ts';

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
} & (
  | { readonly reachable: true; readonly status: StatusReply }
  | { readonly reachable: false; readonly reason: string }
);

/** A node that takes longer than this to say how it is counts as unreachable. */
const ANSWER_MS_MAX = 2000;

/** Prints the report; sets exit code 1 when nobody answers. */
export async function status(url: string, json: boolean): Promise<void> {
  const reports = await ask(url);
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
    return [{ id: '?', url, client: null, reachable: false, reason: reasonOf(error) }];
  }
  return Promise.all(
    own.members.map(async (member): Promise<NodeReport> => {
      const { id, client } = member;
      if (member.self) return { id, url, client, reachable: true, status: own };
      try {
        return { id, url: member.url, client, reachable: true, status: await fetchStatus(member.url) };
      } catch (error) {
        return { id, url: member.url, client, reachable: false, reason: reasonOf(error) };
      }
    }),
  );
}

/** The reports as lines of text, one per node, columns aligned. */
export function table(reports: readonly NodeReport[]): string {
  const head = ['NODE', 'ROLE', 'TERM', 'LAST', 'COMMIT', 'APPLIED', 'LAG', 'CLIENT', 'STATE'];
  // The commit index of whoever is furthest: without a leader there still is something to lag behind.
  const commit = Math.max(...reports.map((report) => (report.reachable ? report.status.commitIndex : 0)));
  const rows = reports.map((report) => row(report, commit));
  const widths = head.map((name, column) =>
    Math.max(name.length, ...rows.map((cells) => cells[column]?.length ?? 0)),
  );
  return [head, ...rows]
    .map((cells) =>
      cells
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function row(report: NodeReport, commit: number): string[] {
  const client = report.client === null ? '-' : `${report.client.host}:${report.client.port}`;
  if (!report.reachable)
    return [report.id, '-', '-', '-', '-', '-', '-', client, `unreachable: ${report.reason}`];
  const { role, term, lastIndex, commitIndex, appliedIndex, leader } = report.status;
  const figures = [term, lastIndex, commitIndex, appliedIndex, Math.max(0, commit - appliedIndex)];
  return [report.id, role, ...figures.map(String), client, leader === null ? 'no leader' : 'ok'];
}

async function fetchStatus(url: string): Promise<StatusReply> {
  const reply = await fetch(new URL('/v1/status', url), { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
  if (!reply.ok) throw new Error(`HTTP ${reply.status}`);
  const body: unknown = await reply.json();
  if (!isStatus(body)) throw new Error('not the status of a kvorum node');
  return body;
}

/** Only what the report needs: a node of another version may say more or less. */
function isStatus(body: unknown): body is StatusReply {
  if (typeof body !== 'object' || body === null) return false;
  const fields = body as Partial<Record<keyof StatusReply, unknown>>;
  const numbers = [fields.term, fields.lastIndex, fields.commitIndex, fields.appliedIndex];
  return numbers.every((value) => typeof value === 'number') && Array.isArray(fields.members);
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${ANSWER_MS_MAX} ms`;
  // fetch says only "fetch failed"; the code behind it tells a closed port from an unknown name.
  const cause = error.cause as NodeJS.ErrnoException | undefined;
  return cause?.code ?? cause?.message ?? error.message;
}
