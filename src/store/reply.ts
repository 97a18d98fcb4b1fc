/**
 * Where a command's handler writes its reply. Handlers never build reply objects: on the client port the writer puts
 * the bytes of the connection's protocol straight into its output; on a follower nobody reads the reply.
 *
 * Strings are byte strings (one latin1 character per byte) throughout.
 */
export interface ReplyWriter {
  /** `+OK`. */
  ok(): void;
  /** A simple string without CR or LF: `+PONG`. */
  simple(text: string): void;
  /** An error: its prefix, a blank, its text. CR and LF are replaced by blanks. */
  error(text: string): void;
  /** A whole number; `bigint` where 2^53 is not enough. */
  integer(value: number | bigint): void;
  /** A bulk string, or the null bulk. */
  bulk(value: string | null): void;
  /**
   * A floating point number: `,` in RESP3, a bulk string in RESP2; shortest form, `inf`, `-inf`, `nan`. `text`: its digits,
   * where they are others.
   */
  double(value: number, text?: string): void;
  /** `#t`/`#f` in RESP3, `:1`/`:0` in RESP2. */
  boolean(value: boolean): void;
  /** The null array: `*-1` in RESP2, `_` in RESP3. */
  nullArray(): void;
  /** Opens an array; `length` replies follow. */
  array(length: number): void;
  /** Opens a map; `pairs` × 2 replies follow. A flat array in RESP2. */
  map(pairs: number): void;
  /** Opens a set; `length` replies follow. An array in RESP2. */
  set(length: number): void;
  /** Opens a list of pairs, each of which begins with `pair`: an array of arrays in RESP3, one flat array in RESP2. */
  pairs(length: number): void;
  /** Begins one of `pairs`; two replies follow. */
  pair(): void;
  /** Opens a list of names with what each has, each begun by `named`: a map in RESP3, an array of arrays in RESP2. */
  names(length: number): void;
  /** Begins one of `names`; two replies follow. */
  named(): void;
  /** Text with a three-letter format in RESP3, a bulk string in RESP2. */
  verbatim(format: string, text: string): void;
  /** A whole number of any size in decimal digits: `(` in RESP3, a bulk string in RESP2. */
  bigNumber(digits: string): void;
}

/** Drops everything: the writer of a node that applies an entry for nobody. */
export const noReply: ReplyWriter = {
  ok() {},
  simple() {},
  error() {},
  integer() {},
  bulk() {},
  double() {},
  boolean() {},
  nullArray() {},
  array() {},
  map() {},
  set() {},
  pairs() {},
  pair() {},
  names() {},
  named() {},
  verbatim() {},
  bigNumber() {},
};
