/** Where a server is, and what becomes of a connection to it. */

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** No answer will come. `unsent`: nothing was sent, so that nothing was run. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
  readonly unsent: boolean;

  constructor(message: string, unsent: boolean) {
    super(message);
    this.unsent = unsent;
  }
}

/** Why there is no connection. Of a name with several addresses the error has no message of its own. */
export function reasonOf(error: Error & { readonly code?: string }): string {
  return error.message || (error.code ?? 'failed');
}

/** `host:port`, IPv6 in brackets. */
export function nameOf({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** `host:port`, `[::1]:port`, `:port` with `host` for the missing one; null for anything else. */
export function addressOf(text: string, host: string): Address | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^\s:/[\]]*)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65_535) return null;
  return { host: match[1] ?? (match[2] || host), port };
}
