/**
 * What can befall a cluster, as data. The nemesis only decides; whatever it does is one of these, noted with its time,
 * so that a run can be had again from its list of actions, in part as well: that is how a failing run is shrunk.
 */
import { asNodeId, type MembershipChange, type Message, type NodeId } from '../../src/raft/types.ts';
import type { Cluster } from './cluster.ts';
import { loseTail, putBack, wipe } from './damage.ts';
import { beginQuiet } from './quiet.ts';
import type { Weather } from './network.ts';
import { changeWords } from './words.ts';

export type Action =
  | { readonly type: 'write'; readonly node: NodeId; readonly bytes: number }
  | { readonly type: 'read'; readonly node: NodeId }
  | { readonly type: 'transfer'; readonly node: NodeId; readonly to: NodeId | null }
  | { readonly type: 'crash'; readonly node: NodeId }
  | { readonly type: 'restart'; readonly node: NodeId }
  /** The others notice that the node's process is gone. */
  | { readonly type: 'noticeCrash'; readonly node: NodeId }
  | { readonly type: 'pause'; readonly node: NodeId; readonly ms: number }
  | { readonly type: 'clockRate'; readonly node: NodeId; readonly rate: number }
  | { readonly type: 'diskSpeed'; readonly node: NodeId; readonly minMs: number; readonly maxMs: number }
  /** The next disk write takes this much longer. */
  | { readonly type: 'diskStall'; readonly node: NodeId; readonly ms: number }
  /** Messages from any of `from` to any of `to` are lost until the network is healed. */
  | { readonly type: 'cut'; readonly from: readonly NodeId[]; readonly to: readonly NodeId[] }
  | { readonly type: 'heal' }
  /** A node with an empty log comes up. */
  | { readonly type: 'join'; readonly node: NodeId }
  /** An operator asks the node for a change of the membership. */
  | { readonly type: 'change'; readonly node: NodeId; readonly change: MembershipChange }
  /** The end of its log turns out to be lost while the node is down. */
  | { readonly type: 'loseTail'; readonly node: NodeId }
  /** The directory is lost while the node is down. */
  | { readonly type: 'wipe'; readonly node: NodeId }
  /** An operator copies the directory. */
  | { readonly type: 'copy'; readonly node: NodeId }
  /** The copy takes the place of the directory while the node is down. */
  | { readonly type: 'putBack'; readonly node: NodeId }
  | { readonly type: 'fillDisk'; readonly node: NodeId; readonly ms: number }
  /** All faults end for a while, except that these nodes stay down. The cluster must serve if it can. */
  | { readonly type: 'quiet'; readonly down: readonly NodeId[] }
  | { readonly type: 'weather'; readonly weather: Weather }
  /** The next message of this kind on this link takes so long. */
  | {
      readonly type: 'delayNext';
      readonly from: NodeId;
      readonly to: NodeId;
      readonly message: Message['type'];
      readonly ms: number;
    };

export interface TimedAction {
  /** Virtual time in ms. */
  readonly at: number;
  readonly action: Action;
}

/** Does it. What makes no sense at the moment, such as a crash of a node that is down, does nothing. */
export function perform(cluster: Cluster, action: Action): void {
  if (isSilent(action)) cluster.trace.note(cluster.now, null, describe(action));
  // Where the joining of a node was left out, there is nothing to do to it.
  if (nodesOf(action).some((id) => !cluster.has(id))) return;
  if (disturbs(action)) cluster.disturbances += 1;
  switch (action.type) {
    case 'write': {
      const host = cluster.host(action.node);
      if (isAwake(cluster, action.node)) cluster.propose(host, action.bytes);
      break;
    }
    case 'read':
      if (isAwake(cluster, action.node)) cluster.read(cluster.host(action.node));
      break;
    case 'transfer':
      if (isAwake(cluster, action.node)) cluster.transfer(cluster.host(action.node), action.to);
      break;
    case 'crash':
      cluster.crash(cluster.host(action.node));
      break;
    case 'restart':
      cluster.restart(cluster.host(action.node));
      break;
    case 'noticeCrash':
      if (!cluster.host(action.node).isUp) cluster.reportDown(cluster.host(action.node));
      break;
    case 'pause':
      cluster.pause(cluster.host(action.node), action.ms);
      break;
    case 'clockRate':
      cluster.setClockRate(cluster.host(action.node), action.rate);
      break;
    case 'diskSpeed':
      cluster.host(action.node).diskSpeed = { minMs: action.minMs, maxMs: action.maxMs };
      break;
    case 'diskStall':
      cluster.coverage.count('disk stalls');
      cluster.host(action.node).stallMs = action.ms;
      break;
    case 'cut':
      for (const from of action.from) {
        for (const to of action.to) if (from !== to) cluster.network.cut(from, to);
      }
      break;
    case 'heal':
      cluster.network.heal();
      break;
    case 'join':
      cluster.join(action.node);
      break;
    case 'change': {
      const host = cluster.host(action.node);
      if (isAwake(cluster, action.node)) cluster.change(host, action.change);
      break;
    }
    case 'loseTail':
      loseTail(cluster, cluster.host(action.node));
      break;
    case 'wipe':
      wipe(cluster, cluster.host(action.node));
      break;
    case 'copy': {
      const host = cluster.host(action.node);
      if (!host.isImpostor) host.copy = host.disk.copy();
      break;
    }
    case 'putBack':
      putBack(cluster, cluster.host(action.node));
      break;
    case 'fillDisk':
      cluster.fillDisk(cluster.host(action.node), action.ms);
      break;
    case 'quiet':
      beginQuiet(cluster, action.down);
      break;
    case 'weather':
      cluster.network.weather = action.weather;
      break;
    case 'delayNext':
      cluster.network.delayNext(action.from, action.to, action.message, action.ms);
      break;
  }
}

/** Whether nothing else in the trace would tell of it. */
function isSilent({ type }: Action): boolean {
  switch (type) {
    case 'clockRate':
    case 'diskSpeed':
    case 'diskStall':
    case 'cut':
    case 'heal':
    case 'weather':
    case 'copy':
    case 'fillDisk':
    case 'quiet':
      return true;
    case 'change':
    case 'join':
    case 'loseTail':
    case 'wipe':
    case 'putBack':
    case 'write':
    case 'read':
    case 'transfer':
    case 'crash':
    case 'restart':
    case 'noticeCrash':
    case 'pause':
    case 'delayNext':
      return false;
  }
}

/** Whether it may keep the cluster from serving. */
export function disturbs({ type }: Action): boolean {
  return type !== 'write' && type !== 'read' && type !== 'copy';
}

function isAwake(cluster: Cluster, node: NodeId): boolean {
  const host = cluster.host(node);
  return host.isUp && host.pausedUntil <= cluster.now;
}

/** The action in the words of the scripts. */
export function describe(action: Action): string {
  switch (action.type) {
    case 'write':
      return `write ${action.node} ${action.bytes} bytes`;
    case 'read':
      return `read ${action.node}`;
    case 'transfer':
      return `transfer ${action.node}${action.to === null ? '' : ` to ${action.to}`}`;
    case 'crash':
      return `crash ${action.node}`;
    case 'restart':
      return `restart ${action.node}`;
    case 'noticeCrash':
      return `notice ${action.node}`;
    case 'pause':
      return `pause ${action.node} ${duration(action.ms)}`;
    case 'clockRate':
      return `clock ${action.node} x${action.rate.toFixed(2)}`;
    case 'diskSpeed':
      return `disk ${action.node} ${duration(action.minMs)}..${duration(action.maxMs)}`;
    case 'diskStall':
      return `stall ${action.node} ${duration(action.ms)}`;
    case 'cut':
      return `cut ${action.from.join(' ')} > ${action.to.join(' ')}`;
    case 'heal':
      return 'heal';
    case 'join':
      return `join ${action.node}`;
    case 'change':
      return `change ${action.node} ${changeWords(action.change)}`;
    case 'loseTail':
      return `lose tail ${action.node}`;
    case 'wipe':
      return `wipe ${action.node}`;
    case 'copy':
      return `copy ${action.node}`;
    case 'putBack':
      return `put back ${action.node}`;
    case 'fillDisk':
      return `fill ${action.node} ${duration(action.ms)}`;
    case 'quiet':
      return ['quiet', ...action.down].join(' ');
    case 'weather':
      return `weather ${describeWeather(action.weather)}`;
    case 'delayNext':
      return `delay next ${action.message} from ${action.from} to ${action.to} ${duration(action.ms)}`;
  }
}

function describeWeather(weather: Weather): string {
  const { minDelayMs, maxDelayMs, lossRate, doubleRate, appendLossRate, slowRate, slowMs } = weather;
  const parts = [`delay ${duration(minDelayMs)}..${duration(maxDelayMs)}`];
  if (lossRate > 0) parts.push(`loss ${lossRate}`);
  if (appendLossRate > 0) parts.push(`append-loss ${appendLossRate}`);
  if (doubleRate > 0) parts.push(`double ${doubleRate}`);
  if (slowRate > 0) parts.push(`slow ${slowRate} up to ${duration(slowMs)}`);
  return parts.join(', ');
}

function duration(ms: number): string {
  return ms >= 1000 ? `${+(ms / 1000).toFixed(2)}s` : `${+ms.toFixed(2)}ms`;
}

/** The nodes that an action speaks of. */
export function nodesOf(action: Action): readonly NodeId[] {
  switch (action.type) {
    case 'cut':
      return [...action.from, ...action.to];
    case 'delayNext':
      return [action.from, action.to];
    case 'heal':
    case 'weather':
    case 'join':
    case 'quiet':
      return [];
    case 'transfer':
      return action.to === null ? [action.node] : [action.node, action.to];
    default:
      return [action.node];
  }
}

/** `n1`, `n2`, … */
export function nodeAt(position: number): NodeId {
  return asNodeId(`n${position + 1}`);
}
