/** The one password of clients, on every port. */
import { createHash, timingSafeEqual } from 'node:crypto';

export class Password {
  readonly #hash: Buffer | null;

  /** `null`: everyone may do everything. */
  constructor(password: string | null) {
    this.#hash = password === null ? null : hash(password);
  }

  get required(): boolean {
    return this.#hash !== null;
  }

  /** The only user is `default`. */
  matches(user: string, password: string): boolean {
    if (user !== 'default') return false;
    // Hashes are of one length, so that the comparison takes as long for every guess.
    return this.#hash === null || timingSafeEqual(this.#hash, hash(password));
  }

  /** Whether the header `authorization` of an HTTP request shows it: `Bearer <password>`, or `Basic` as user default. */
  admits(authorization: string | undefined): boolean {
    if (this.#hash === null) return true;
    const [scheme = '', credentials = ''] = (authorization ?? '').split(' ', 2);
    switch (scheme.toLowerCase()) {
      case 'bearer':
        return this.matches('default', credentials);
      case 'basic': {
        const text = Buffer.from(credentials, 'base64').toString('latin1');
        const colon = text.indexOf(':');
        // curl -u :password leaves the user out.
        return colon !== -1 && this.matches(text.slice(0, colon) || 'default', text.slice(colon + 1));
      }
      default:
        return false;
    }
  }
}

function hash(password: string): Buffer {
  return createHash('sha256').update(password, 'latin1').digest();
}
