/**
 * The way from one node to the others. Every message becomes a frame and is read back as one, in whatever pieces it
 * comes; a snapshot's file travels in chunks over connections that break, and goes on where it stood.
 */
import type { MemberAddress, Message, NodeId, SnapshotMeta } from '../../../src/raft/types.ts';
import type { Peers } from '../../../src/server/driver.ts';
import { encodeFrame, FrameDecoder, FrameError } from '../../../src/transport/codec.ts';
import type { SnapshotSink } from '../../../src/transport/snapshot.ts';
import { check } from '../failure.ts';
import type { Machine } from './machine.ts';
import type { NodeWorld } from './world.ts';

/** Attempts in a row that bring nothing, after which a transfer is given up. */
const FAILURES_MAX = 8;
/** A connection that brings nothing for so long is taken for dead, in ms. */
const SILENCE_MS = 400;
const REDIAL_MS = 30;

export class PeersOf implements Peers {
  readonly #world: NodeWorld;
  readonly #machine: Machine;
  #members: ReadonlySet<NodeId> = new Set();

  constructor(world: NodeWorld, machine: Machine) {
    this.#world = world;
    this.#machine = machine;
  }

  setPeers(members: readonly MemberAddress[]): void {
    this.#members = new Set(members.map(({ id }) => id));
  }

  connected(peer: NodeId): boolean {
    return this.#world.machine(peer)?.isUp === true && !this.#world.network.isCut(peer, this.#machine.id);
  }

  send(to: NodeId, message: Message): void {
    const { id } = this.#machine;
    this.#world.sent(this.#machine, to, message);
    if (!this.#members.has(to)) return;
    const arrived = this.#throughCodec(to, message);
    if (arrived === null) this.#world.notArrived(id, to);
    else this.#world.network.send(id, to, arrived);
  }

  /** The message as the other side reads it; null when its frame was damaged on the way and refused there. */
  #throughCodec(to: NodeId, message: Message): Message | null {
    const { random, coverage } = this.#world;
    const { id } = this.#machine;
    let frame = encodeFrame(id, to, message);
    coverage.count('messages through the codec');
    const damaged = random.chance(this.#world.frameDamageRate);
    if (damaged) {
      coverage.count('frames damaged on the wire');
      frame = Buffer.from(frame);
      const at = random.below(frame.length);
      frame[at] = (frame[at] ?? 0) ^ (1 << random.below(8));
    }
    let arrived: Message | null = null;
    const decoder = new FrameDecoder((from, receiver, read) => {
      check(
        from === id && receiver === to,
        'DC',
        () => `a frame of ${id} to ${to} says ${from} to ${receiver}`,
      );
      arrived = read;
    });
    try {
      const at = random.chance(0.05) ? random.below(frame.length) : frame.length;
      decoder.push(frame.subarray(0, at));
      if (at < frame.length) decoder.push(frame.subarray(at));
    } catch (error) {
      check(
        error instanceof FrameError && damaged,
        'DC',
        () => `a frame was not read back: ${String(error)}`,
      );
      return null;
    }
    check(arrived === null || !damaged, 'SM', () => `a damaged frame was taken for sound`);
    // A damaged length makes the other side wait for more until the stream is given up.
    check(arrived !== null || damaged, 'DC', () => 'a whole frame was not read back');
    return arrived;
  }

  async fetchSnapshot(
    from: NodeId,
    snapshot: SnapshotMeta,
    sink: SnapshotSink,
    signal: AbortSignal,
  ): Promise<void> {
    const { coverage } = this.#world;
    coverage.count('snapshot transfers begun');
    try {
      if (sink.offset > 0 && sink.offset < snapshot.bytes) coverage.count('snapshot transfers gone on with');
      for (let failures = 0; sink.offset < snapshot.bytes; ) {
        signal.throwIfAborted();
        const before = sink.offset;
        const broken = await this.#connection(from, snapshot, sink, signal);
        signal.throwIfAborted();
        if (broken === null) break;
        coverage.count('snapshot connections broken');
        failures = sink.offset > before ? 0 : failures + 1;
        if (failures >= FAILURES_MAX) throw new Error(`snapshot ${snapshot.index}: ${broken}`);
        await this.#sleep(REDIAL_MS * (1 + failures));
        if (sink.offset > 0) coverage.count('snapshot transfers gone on with');
      }
      coverage.count('snapshot transfers done');
    } catch (error) {
      coverage.count('snapshot transfers failed');
      throw error;
    }
  }

  /** Takes what one connection brings. Null: all of it; otherwise why it is of no more use. */
  async #connection(
    from: NodeId,
    snapshot: SnapshotMeta,
    sink: SnapshotSink,
    signal: AbortSignal,
  ): Promise<string | null> {
    const world = this.#world;
    const source = world.machine(from);
    await this.#sleep(world.random.between(0.2, 2));
    if (source === undefined || source.driver === null || this.#isCut(from)) return 'refused';
    const sourceLife = source.life;
    const pieces = source.driver.snapshotPieces(snapshot, sink.offset);
    if (pieces === null) throw new Error(`${from} does not have snapshot ${snapshot.index}`);
    const close = (): void => {
      // The sender notices a little later that nobody listens any more.
      world.schedule.after(1, source, () => {
        world.disturb();
        void pieces.return();
      });
    };
    const forget = world.onDeath(this.#machine, close);
    try {
      let offset = sink.offset;
      for (;;) {
        const next = await this.#within(
          SILENCE_MS,
          pieces.next().catch(() => null),
        );
        if (next === null) return 'silence';
        if (next.done === true) return 'the file ended too soon';
        const piece = next.value;
        for (let at = 0; at < piece.length; ) {
          const size = Math.min(piece.length - at, 1 + world.random.below(world.options.chunkBytes));
          await this.#sleep(world.random.between(0.05, 1) * (1 + size / 20_000));
          if (signal.aborted) return 'aborted';
          if (source.life !== sourceLife || this.#isCut(from)) return 'reset';
          if (world.random.chance(world.chunkTroubleRate))
            return 'a chunk was lost, came twice or was damaged';
          check(
            offset === sink.offset,
            'DC',
            () => `the sink stands at ${sink.offset}, it was given ${offset}`,
          );
          await sink.write(this.#chunk(piece.subarray(at, at + size)));
          offset += size;
          at += size;
        }
        if (sink.offset === snapshot.bytes) return null;
      }
    } finally {
      forget();
      if (source.life === sourceLife) close();
    }
  }

  /** A buffer of its own; now and then one that was damaged where no checksum of a chunk covers it. */
  #chunk(bytes: Buffer): Buffer {
    const chunk = Buffer.from(bytes);
    const { random, coverage } = this.#world;
    if (!random.chance(this.#world.chunkDamageRate)) return chunk;
    coverage.count('snapshot chunks damaged');
    const at = random.below(chunk.length);
    chunk[at] = (chunk[at] ?? 0) ^ (1 << random.below(8));
    return chunk;
  }

  #isCut(from: NodeId): boolean {
    const { network } = this.#world;
    return network.isCut(from, this.#machine.id) || network.isCut(this.#machine.id, from);
  }

  #sleep(ms: number): Promise<void> {
    const world = this.#world;
    return new Promise((resolve) => {
      world.schedule.after(ms, this.#machine, () => {
        world.disturb();
        resolve();
      });
    });
  }

  /** Null when it takes longer. What another process brings about never reaches one that died meanwhile. */
  #within<T>(ms: number, work: Promise<T>): Promise<T | null> {
    const machine = this.#machine;
    const { life } = machine;
    return new Promise((resolve, reject) => {
      const ifAlive = (then: () => void): void => {
        if (machine.life === life) then();
      };
      work.then(
        (value) => ifAlive(() => resolve(value)),
        (error: unknown) => ifAlive(() => reject(error)),
      );
      void this.#sleep(ms).then(() => resolve(null));
    });
  }
}
