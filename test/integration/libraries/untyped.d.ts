/** The little that the tests use of packages that come without types. */

declare module 'express' {
  import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';

  /** With the session that express-session puts there. */
  export interface Request extends IncomingMessage {
    readonly query: Readonly<Record<string, string>>;
    readonly session: Record<string, unknown> & { destroy(done: (error?: unknown) => void): void };
  }
  export interface Response extends ServerResponse {
    json(body: unknown): void;
  }
  export interface Application extends RequestListener {
    use(handler: unknown): void;
    get(path: string, handler: (request: Request, response: Response) => unknown): void;
  }
  export default function express(): Application;
}

declare module 'express-session' {
  export class Store {
    createSession(request: unknown, session: unknown): unknown;
  }
  export interface SessionData {
    readonly cookie: { readonly originalMaxAge: number | null };
  }
  export interface Options {
    readonly store: Store;
    readonly secret: string;
    readonly resave: boolean;
    readonly saveUninitialized: boolean;
    readonly cookie: { readonly maxAge: number };
  }
  export default function session(options: Options): unknown;
}
