/** The error replies that several commands share, letter by letter as Redis 7.0 writes them: clients compare them. */
export const WRONG_TYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value';
export const SYNTAX_ERROR = 'ERR syntax error';
export const NOT_AN_INTEGER = 'ERR value is not an integer or out of range';
export const NOT_A_FLOAT = 'ERR value is not a valid float';
export const NO_SUCH_KEY = 'ERR no such key';
export const INDEX_OUT_OF_RANGE = 'ERR index out of range';
export const SAME_OBJECT = 'ERR source and destination objects are the same';
export const STRING_TOO_LONG = 'ERR string exceeds maximum allowed size (proto-max-bulk-len)';

/** From scripts; the server has the same text for what it refuses. */
export const OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'.";

export function wrongArity(command: string): string {
  return `ERR wrong number of arguments for '${command}' command`;
}

/** What a subcommand answers to arguments it does not know: it and its container, as the client wrote the one. */
export function wrongSubcommand(args: readonly string[]): string {
  const [container = '', subcommand = ''] = args;
  const quoted = subcommand.slice(0, 128);
  return `ERR unknown subcommand or wrong number of arguments for '${quoted}'. Try ${container.toUpperCase()} HELP.`;
}

export function invalidExpireTime(command: string): string {
  return `ERR invalid expire time in '${command}' command`;
}
