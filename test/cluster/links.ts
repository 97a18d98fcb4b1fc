/**
 * The network between nodes that are processes of one machine, where faults can be made: every node has a door, a
 * listener whose address the others know as its URL, and what they send goes through it.
 *
 * A fault does to a connection what a firewall does: it stays open and its bytes stop, in one direction or in both;
 * when it ends they go on, as TCP sends again what was dropped. Who opened a connection is read off the first request's
 * identity header. A request without one belongs to nobody and is only held by its receiver's faults.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Direction } from './machines.ts';

const SENDER = /\r\nx-kvorum-node: *([^\r]+)\r\n/i;
/** A request whose headers are longer is passed on as nobody's. */
const HEAD_BYTES_MAX = 64 * 1024;

/** One direction of a connection. */
interface Flow {
  readonly from: string | null;
  readonly to: string | null;
  readonly source: Socket;
  readonly sink: Socket;
}

export class Links {
  readonly #doors: Server[] = [];
  readonly #flows = new Set<Flow>();
  readonly #absent = new Set<string>();
  readonly #deaf = new Set<string>();
  readonly #mute = new Set<string>();

  /** Opens the door of a node that listens on `target` of this machine; its port. */
  async open(id: string, target: number): Promise<number> {
    const door = createServer({ allowHalfOpen: true }, (caller) => this.#accept(id, target, caller));
    door.listen(0, '127.0.0.1');
    await once(door, 'listening');
    this.#doors.push(door);
    return (door.address() as AddressInfo).port;
  }

  /** From now on what passes between this node and the others is held. */
  hold(id: string, direction: Direction): void {
    if (direction !== 'out') this.#deaf.add(id);
    if (direction !== 'in') this.#mute.add(id);
    this.#regulate();
  }

  /** Ends the node's connections and refuses new ones. */
  sever(id: string): void {
    this.#absent.add(id);
    for (const { from, to, source, sink } of this.#flows) {
      if (from !== id && to !== id) continue;
      source.destroy();
      sink.destroy();
    }
  }

  /** Ends every fault of this node. */
  mend(id: string): void {
    for (const fault of [this.#absent, this.#deaf, this.#mute]) fault.delete(id);
    this.#regulate();
  }

  async close(): Promise<void> {
    for (const { source } of this.#flows) source.destroy();
    for (const door of this.#doors) door.close();
    await Promise.all(this.#doors.filter((door) => door.listening).map((door) => once(door, 'close')));
  }

  #accept(to: string, target: number, caller: Socket): void {
    if (this.#absent.has(to)) {
      caller.destroy();
      return;
    }
    caller.on('error', () => caller.destroy());
    let head = '';
    const onData = (chunk: Buffer): void => {
      head += chunk.toString('latin1');
      if (!head.includes('\r\n\r\n') && head.length < HEAD_BYTES_MAX) return;
      caller.off('data', onData);
      caller.pause();
      const from = SENDER.exec(head)?.[1]?.trim() ?? null;
      if (from !== null && this.#absent.has(from)) caller.destroy();
      else this.#join(from, to, caller, target, head);
    };
    caller.on('data', onData);
  }

  #join(from: string | null, to: string, caller: Socket, target: number, head: string): void {
    const called = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true });
    called.pause();
    const there: Flow = { from, to, source: caller, sink: called };
    const back: Flow = { from: to, to: from, source: called, sink: caller };
    // What was read to learn the sender's name is held like the rest.
    caller.unshift(Buffer.from(head, 'latin1'));
    for (const flow of [there, back]) this.#pump(flow);
  }

  #pump(flow: Flow): void {
    const { source, sink } = flow;
    this.#flows.add(flow);
    source.on('data', (chunk: Buffer) => {
      if (!sink.write(chunk)) source.pause();
    });
    sink.on('drain', () => this.#steer(flow));
    source.on('end', () => sink.end());
    source.on('error', () => source.destroy());
    source.on('close', () => {
      this.#flows.delete(flow);
      sink.destroy();
    });
    this.#steer(flow);
  }

  #regulate(): void {
    for (const flow of this.#flows) this.#steer(flow);
  }

  #steer({ from, to, source, sink }: Flow): void {
    const held = (from !== null && this.#mute.has(from)) || (to !== null && this.#deaf.has(to));
    if (held) source.pause();
    else if (!sink.writableNeedDrain) source.resume();
  }
}
