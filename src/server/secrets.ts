/** Which arguments nobody else may see: passwords. */

/** Whether the argument at `at` is one, or belongs to one. */
export function isSecret(args: readonly string[], at: number): boolean {
  switch ((args[0] ?? '').toLowerCase()) {
    case 'auth':
      return at > 0;
    case 'hello': {
      const auth = args.findIndex((arg, position) => position > 1 && arg.toLowerCase() === 'auth');
      return auth !== -1 && (at === auth + 1 || at === auth + 2);
    }
    case 'acl':
      return (args[1] ?? '').toLowerCase() === 'setuser' && at > 1;
    case 'migrate':
      return true;
    default:
      return false;
  }
}
