/** Where the commands go: a server or a file. */
import type { Described } from './hints.ts';
import type { Reply } from './reply.ts';

/** Asks the person at the terminal for a secret, without showing it; null when there is nobody. */
export type AskSecret = (question: string) => Promise<string | null>;

/** What becomes of a line. */
export type Outcome =
  | { readonly kind: 'reply'; readonly reply: Reply }
  /** Messages follow until somebody interrupts it, or the connection ends: then with the reason. */
  | { readonly kind: 'listening'; readonly reply: Reply; readonly until: Promise<string | null> }
  /** The target's own words, in place of a reply. */
  | { readonly kind: 'said'; readonly text: string }
  /** The end, with the last words. */
  | { readonly kind: 'ended'; readonly text: string | null };

/** What a target tells besides: messages, and in words what it does. */
export interface Listener {
  onPush(reply: Reply): void;
  onNotice(text: string): void;
  /** Of interest to people only. */
  onRedirect(text: string): void;
}

export interface Target {
  /** What stands before the line of somebody who types. */
  readonly prompt: string;
  /** How replies look to people. */
  readonly show: (reply: Reply) => string;
  /** A blank line behind each reply to somebody who types. */
  readonly spaced: boolean;
  /** Words of its own, for help and completion. */
  readonly extraWords: readonly Described[];
  start(listener: Listener, ask: AskSecret): Promise<void>;
  /** `words` are byte strings, at least one. Rejects with a CommandError when there is no reply. */
  run(words: readonly string[]): Promise<Outcome>;
  /** Ends what goes on: a command that waits, messages. */
  interrupt(): void;
  /** The end without a word for it: of the input, or by Ctrl-C. Resolves to the last words. */
  end(): Promise<string | null>;
  close(): void;
}
