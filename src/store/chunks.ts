/** A queue of bytes that arrive in pieces of any size and are taken in pieces of another. */
export class Chunks {
  #chunks: Buffer[] = [];
  #length = 0;
  #offset = 0;

  /** Bytes held. */
  get length(): number {
    return this.#length;
  }

  /** How many bytes were taken before. */
  get offset(): number {
    return this.#offset;
  }

  push(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#length += bytes.length;
  }

  /** The first `count` bytes, left where they are; there must be as many. */
  peek(count: number): Buffer {
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= count) return first.subarray(0, count);
    // Once joined they stay so: looking again costs nothing, and every byte is copied once per `count` bytes.
    const joined = Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    return joined.subarray(0, count);
  }

  /** The first `count` bytes; there must be as many. */
  take(count: number): Buffer {
    const taken = this.peek(count);
    const first = this.#chunks[0];
    if (first !== undefined && first.length > count) this.#chunks[0] = first.subarray(count);
    else this.#chunks.shift();
    this.#length -= count;
    this.#offset += count;
    return taken;
  }
}
