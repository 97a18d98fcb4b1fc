/** The names of scripts. */
import { createHash } from 'node:crypto';

/** SHA-1 of a byte string in hexadecimal. */
export function sha1(text: string): string {
  return createHash('sha1').update(text, 'latin1').digest('hex');
}
