/**
 * What can befall a cluster, as data. The nemesis only decides; whatever it does is one of these, noted with its time,
 * so that a run can be had again from its list of actions, in part as well: that is how a failing run is shrunk.
 */
import { asNodeId, type Message, type NodeId } from '../../src/raft/types.ts';
import type { Cluster } from './cluster.ts';
import type { Weather } from './network.ts';

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
      return true;
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
