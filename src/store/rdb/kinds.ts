/** Which kind of value a dump holds: its first byte, as Redis numbers them. */
export const KIND = {
  string: 0,
  list: 1,
  set: 2,
  /** Scores as text: up to Redis 3. */
  sortedSetText: 3,
  hash: 4,
  sortedSet: 5,
  module: 7,
  listZiplist: 10,
  setIntset: 11,
  sortedSetZiplist: 12,
  hashZiplist: 13,
  /** Nodes that are ziplists: up to Redis 6. */
  listZiplists: 14,
  /** Up to Redis 6. */
  stream1: 15,
  hashListpack: 16,
  sortedSetListpack: 17,
  listListpacks: 18,
  stream2: 19,
  /** From Redis 7.2 on. */
  setListpack: 20,
  stream3: 21,
  /** Fields with deadlines: from Redis 7.4 on. */
  hashDeadlines: 24,
  hashDeadlinesListpack: 25,
} as const;

/** What a node of a list is: one element, or a listpack of several. */
export const NODE = { plain: 1, packed: 2 } as const;

/** The version that Redis 7.0 writes. */
export const VERSION = 10;
/** The one that has fields with deadlines; the highest that is read. */
export const VERSION_DEADLINES = 12;
/** A version and a checksum. */
export const FOOTER_BYTES = 10;
