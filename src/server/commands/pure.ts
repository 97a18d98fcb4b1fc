/** Commands whose reply needs neither keys nor this node: see {@link PureCommand}. */
import { pureCalls, pureSpecs } from '../../store/commands/pure.ts';
import type { PureCommand } from '../session.ts';

export const pureCommands: readonly PureCommand[] = pureSpecs.flatMap((spec): PureCommand[] => {
  const call = pureCalls.get(spec.name);
  return call === undefined ? [] : [{ ...spec, kind: 'pure', call }];
});
